import { describe, expect, test } from "bun:test";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { compileService } from "./compile.ts";
import { mmocrDefinition } from "./mmocr.cases.ts";
import { compileSectionRewrite } from "./rewrite.ts";
import { validate } from "./validate.ts";

describe("a definition with the predecessor's rewriting keywords", () => {
  const service = compileService(
    mmocrDefinition({
      headerSchema: JSON.stringify({ properties: { app_id: { type: "string" }, scene: { constVal: "main" } } }),
      parametersSchema: JSON.stringify({
        type: "object",
        properties: { size: { type: "integer", minimum: 1, defaultVal: 4 }, mode: { defaultVal: "fast" } },
        required: ["size"],
      }),
      inputs: [
        {
          ...(mmocrDefinition().inputs[0] ?? expect.unreachable()),
          attributesSchema: JSON.stringify({
            rate: { type: "string|integer", formatVal: "string", replaceKey: "speed" },
          }),
        },
      ],
      outputs: [
        {
          ...(mmocrDefinition().outputs[0] ?? expect.unreachable()),
          attributesSchema: JSON.stringify({ format: { type: "string", constVal: "plain" } }),
        },
      ],
    }),
  );
  const ask = (parameters: object) =>
    validate(
      service,
      {
        header: { app_id: "1" },
        parameter: { mmocr: parameters },
        payload: [{ name: "data", type: PartType.IMAGE, data: new Uint8Array(1), attributes: { rate: 8 } }],
      },
      "s",
    );

  test("is checked as the caller wrote it and sent on as the schemas rewrite it", () => {
    expect(ask({ boxes: { format: "json" } })).toMatchObject({
      headers: { app_id: "1", scene: "main" },
      parameters: { size: "4", mode: "fast" },
      expects: [{ attributes: { format: "plain" } }],
      parts: [{ attributes: { rate: "8", speed: "8" } }],
    });
    expect(() => ask({ size: 0 })).toThrow("'$.parameter.mmocr.size' must be >= 1");
  });

  test("costs a definition without them nothing", () => {
    expect(compileSectionRewrite('{"properties":{"delete":{"type":"string"}}}')).toBeUndefined();
    expect(compileService(mmocrDefinition()).rewriteParameters).toBeUndefined();
  });
});
