import { describe, expect, test } from "bun:test";
import { ServingError } from "../../proto/errors.ts";
import { createTestResources, textResource } from "../engine/test-resources.ts";
import { carryResources, haveSameResources } from "./carry-resources.ts";

const never = new AbortController().signal;
const options = { service: "s", timeoutMs: 1000, now: () => 0 };

async function resourcesOf(...ids: readonly number[]) {
  const resources = createTestResources();
  for (const id of ids) await resources.load(id, textResource(`text ${id}`), never);
  return resources;
}

const idsOf = (resources: Awaited<ReturnType<typeof resourcesOf>>) => resources.list().map(({ id }) => id);

describe("resources that are carried over", () => {
  test("are what the old engine has at the end, also what was loaded, replaced and unloaded meanwhile", async () => {
    const from = await resourcesOf(1, 2, 3);
    let steps = 0;
    const to = createTestResources(async () => {
      steps += 1;
      if (steps === 2) await from.unload(1, never);
      if (steps === 3) await from.load(2, textResource("new"), never);
      if (steps === 4) await from.load(4, textResource("late"), never);
    });
    expect(haveSameResources(from, to)).toBe(false);
    await carryResources(from, to, options);
    expect(idsOf(to).toSorted()).toEqual([2, 3, 4]);
    expect(haveSameResources(from, to)).toBe(true);
    expect(to.find(2)?.parts).toBe(from.find(2)?.parts ?? []);
  });

  test("are not carried over when the new engine refuses one, which is told with its words", async () => {
    const to = createTestResources(async (_, id) => {
      if (id === 2) throw new ServingError("ENGINE_FAILED", "I do not like this");
    });
    await expect(carryResources(await resourcesOf(1, 2), to, options)).rejects.toMatchObject({
      reason: "ENGINE_FAILED",
      message: "personal resource 2 of service 's': I do not like this",
    });
  });

  test("need an engine that takes them, unless there are none", async () => {
    await carryResources(await resourcesOf(), undefined, options);
    await carryResources(undefined, await resourcesOf(), options);
    await expect(carryResources(await resourcesOf(1), undefined, options)).rejects.toMatchObject({
      reason: "UNSUPPORTED_OPERATION",
    });
  });

  test("are not waited for for ever", async () => {
    let now = 0;
    const to = createTestResources(async () => {
      now += 600;
    });
    const from = await resourcesOf(1, 2, 3);
    await expect(carryResources(from, to, { ...options, now: () => now })).rejects.toMatchObject({
      message: "the personal resources of service 's' were not loaded within 1000 ms",
    });
  });
});
