import { describe, expect, test } from "bun:test";
import { ServingError } from "../../../proto/errors.ts";
import { errorFromSessionFailure, sessionOptionsFrom } from "./execution-provider.ts";

describe("sessionOptionsFrom()", () => {
  test("names one provider alone, so that nothing falls back, and gives the threads to one run", () => {
    expect(sessionOptionsFrom({ name: "cpu" }, 3)).toEqual({
      executionProviders: ["cpu"],
      intraOpNumThreads: 3,
      interOpNumThreads: 1,
    });
    expect(sessionOptionsFrom({ name: "cuda", deviceId: 1 }, 1).executionProviders).toEqual([
      { name: "cuda", deviceId: 1 },
    ]);
    expect(sessionOptionsFrom({ name: "tensorrt" }, 1).executionProviders).toEqual([{ name: "tensorrt", deviceId: 0 }]);
  });

  test("refuses a name that ONNX Runtime would drop without a word", () => {
    for (const name of ["nonsense", "", "webgpu", "constructor"]) {
      expect(() => sessionOptionsFrom({ name }, 1)).toThrow(
        `engine.provider: '${name}' is not one of cpu, cuda, tensorrt`,
      );
    }
  });

  test("says how a name with the wrong case is written", () => {
    expect(() => sessionOptionsFrom({ name: "CUDA" }, 1)).toThrow("write 'cuda' in lower case");
    expect(() => sessionOptionsFrom({ name: "nonsense" }, 1)).not.toThrow("lower case");
  });
});

describe("errorFromSessionFailure()", () => {
  test("says that the provider's libraries are missing, and keeps the library's words for the log", () => {
    const thrown = new Error("Failed to load shared library");
    const error = errorFromSessionFailure(thrown, { name: "cuda" });
    expect(error).toMatchObject({ reason: "SERVICE_NOT_READY", cause: thrown });
    expect(error.message).toContain("engine.provider: 'cuda' cannot be used");
  });

  test("does not blame a provider for a model that is broken", () => {
    const error = errorFromSessionFailure(new Error("Load model from /secret/path failed"), { name: "cpu" });
    expect(error.message).toBe("the models cannot be loaded");
  });

  test("leaves an error alone that already says what is wrong", () => {
    const error = new ServingError("SERVICE_NOT_READY", "engine.options.maxSide: expected a number");
    expect(errorFromSessionFailure(error, { name: "cuda" })).toBe(error);
  });
});
