/** The header's members that name personal resources. */
const members = ["res_id", "patch_id"] as const;
const maxId = 0xffff_ffff;
/** As many as a loader takes. */
const maxIds = 64;

/** Tells whether a name is one of those. */
export function isResourceMember(name: string): boolean {
  return members.some((member) => member === name);
}

/**
 * The personal resources that a header, or another section, names: in `res_id`, and in `patch_id` as the predecessor's clients do. Each is a
 * number, its decimal text, or an array of those; null, empty text and 0 name none. Notes a mistake for anything else.
 */
export function resourceIdsFrom(
  header: Readonly<Record<string, unknown>>,
  mistakes: string[],
  section = "$.header",
): number[] {
  const ids = new Set<number>();
  for (const member of members) {
    const value = Object.hasOwn(header, member) ? header[member] : undefined;
    for (const item of Array.isArray(value) ? value : [value]) {
      const id = idFromValue(item);
      if (id === undefined) {
        mistakes.push(
          `'${section}.${member}' must be the id of a personal resource, from 1 to ${maxId}, or an array of ids`,
        );
        break;
      }
      if (id !== 0) ids.add(id);
    }
  }
  if (ids.size > maxIds)
    mistakes.push(`'${section}.res_id' must name at most ${maxIds} personal resources, got ${ids.size}`);
  return [...ids];
}

/** 0 for none; undefined for what cannot be an id. */
function idFromValue(value: unknown): number | undefined {
  if (value === null || value === undefined || value === "") return 0;
  const id = typeof value === "string" && /^\d{1,10}$/.test(value) ? Number(value) : value;
  return typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= maxId ? id : undefined;
}
