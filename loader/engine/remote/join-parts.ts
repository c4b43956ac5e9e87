import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";

/**
 * The parts with those of one name joined, in the order in which they began: their data in a row, with the attributes of
 * the first. Tensors are joined along their first axis. Undefined when two tensors of one name do not fit together.
 */
export function joinParts(parts: readonly Part[]): Part[] | undefined {
  const byName = Map.groupBy(parts, ({ name }) => name);
  if (byName.size === parts.length) return [...parts];
  const joined: Part[] = [];
  for (const group of byName.values()) {
    const [first, ...others] = group;
    if (first === undefined) continue;
    const attributes = others.length === 0 ? first.attributes : joinedAttributes(group);
    if (attributes === undefined) return undefined;
    joined.push({ ...first, attributes, data: Buffer.concat(group.map(({ data }) => data)) });
  }
  return joined;
}

function joinedAttributes(parts: readonly Part[]): Record<string, string> | undefined {
  const first = parts[0]?.attributes ?? {};
  if (first.shape === undefined) return first;
  const shapes = parts.map(({ attributes }) => sizesFrom(attributes.shape ?? ""));
  const [, ...rest] = shapes[0] ?? [];
  const rows = shapes.reduce((sum, shape) => sum + (shape[0] ?? Number.NaN), 0);
  const fits = shapes.every((shape) => JSON.stringify(shape.slice(1)) === JSON.stringify(rest));
  if (!fits || Number.isNaN(rows) || parts.some(({ attributes }) => attributes.datatype !== first.datatype))
    return undefined;
  return { ...first, shape: JSON.stringify([rows, ...rest]) };
}

function sizesFrom(text: string): readonly number[] {
  try {
    const sizes: unknown = JSON.parse(text);
    return Array.isArray(sizes) && sizes.every(Number.isSafeInteger) ? sizes : [];
  } catch {
    return [];
  }
}
