import { describe, expect, test } from "bun:test";
import { createRouter } from "./router.ts";

const router = createRouter([
  { ids: ["mmocr", "s5ca83460"], paths: [{ path: "/v1/ocr", hosts: ["api.example.com"] }], target: "mmocr" },
  {
    ids: ["echo"],
    paths: [
      { path: "/v1/ocr", hosts: [] },
      { path: "/say", hosts: [] },
    ],
    target: "echo",
  },
]);
const find = (path: string, host = "10.0.0.1", serviceId: string | null = null) => router({ path, host, serviceId });

describe("createRouter()", () => {
  test("finds a service by the last segment of any path", () => {
    expect(find("/mmocr")).toBe("mmocr");
    expect(find("/v1/private/mmocr")).toBe("mmocr");
    expect(find("/any/thing/mmocr/")).toBe("mmocr");
    expect(find("/v1/private/s5ca83460")).toBe("mmocr");
  });

  test("lets the query parameter serviceId stand in for the path", () => {
    expect(find("/v1/private/mmocr", "h", "echo")).toBe("echo");
  });

  test("prefers the exact path of the host to the exact path of every host", () => {
    expect(find("/v1/ocr", "API.example.com")).toBe("mmocr");
    expect(find("/v1/ocr", "other.example.com")).toBe("echo");
    expect(find("/say")).toBe("echo");
  });

  test("names the service that it does not know", () => {
    expect(() => find("/v1/private/nobody")).toThrow("service 'nobody' not found");
    expect(() => find("/")).toThrow("service '' not found");
  });

  test("knows no service by a name that every object has", () => {
    expect(() => find("/constructor")).toThrow("not found");
    expect(() => find("/__proto__")).toThrow("not found");
  });
});
