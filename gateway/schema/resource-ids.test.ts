import { describe, expect, test } from "bun:test";
import { ServingError } from "../../proto/errors.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { compileService } from "./compile.ts";
import { mmocrDefinition } from "./mmocr.cases.ts";
import { validate } from "./validate.ts";

const open = { headerSchema: "", parametersSchema: "" };
const withResources = compileService(mmocrDefinition({ ...open, personalResources: true }));
const without = compileService(mmocrDefinition(open));
const picture = { name: "data", type: PartType.IMAGE, data: new Uint8Array([1]), attributes: {} };

const check = (header: object, service = withResources) =>
  validate(service, { header: { app_id: "1", ...header }, parameter: {}, payload: [picture] }, "sid");

function messageOf(header: object): string {
  try {
    check(header);
    return "accepted";
  } catch (error) {
    return error instanceof ServingError ? `${error.reason} ${error.message}` : String(error);
  }
}

describe("the personal resources that a header names", () => {
  test("are those of res_id and patch_id, as numbers, texts and arrays, each once and in their order", () => {
    for (const [header, ids] of [
      [{}, []],
      [{ res_id: "", patch_id: null }, []],
      [{ res_id: 0, patch_id: ["0", ""] }, []],
      [{ res_id: 7 }, [7]],
      [{ res_id: "0007" }, [7]],
      [{ res_id: "4294967295" }, [4_294_967_295]],
      [{ patch_id: [9, "8"] }, [9, 8]],
      [{ patch_id: ["7", 8, 7], res_id: [3, 7] }, [3, 7, 8]],
    ] as const) {
      expect(check(header).resourceIds).toEqual([...ids]);
    }
  });

  test("stand in the header as before", () => {
    expect(check({ res_id: 7, patch_id: ["8", 9] }).headers).toMatchObject({ res_id: "7", patch_id: "8;9" });
  });

  test("are a mistake that names its member when they cannot be ids", () => {
    for (const value of [
      "voice-3",
      -1,
      1.5,
      4_294_967_296,
      "12345678901",
      true,
      " 7",
      "1e3",
      [[7]],
      [7, "x"],
      { a: 1 },
    ]) {
      for (const member of ["res_id", "patch_id"]) {
        expect(messageOf({ [member]: value })).toContain(
          `'$.header.${member}' must be the id of a personal resource, from 1 to 4294967295, or an array of ids`,
        );
      }
    }
    expect(messageOf({ res_id: "x" })).toStartWith("SCHEMA_VIOLATION parameter schema validate error: ");
    const many = Array.from({ length: 65 }, (_, i) => i + 1);
    expect(messageOf({ res_id: many })).toContain("'$.header.res_id' must name at most 64 personal resources, got 65");
  });

  test("are texts like any others to a service that takes none", () => {
    const { resourceIds, headers } = check({ res_id: "voice-3", patch_id: [7] }, without);
    expect([resourceIds, headers.res_id, headers.patch_id]).toEqual([[], "voice-3", "7"]);
  });
});
