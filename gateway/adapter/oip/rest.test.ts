import { expect, test } from "bun:test";
import { isRestUrl } from "./rest.ts";

test("only the protocol's own paths are taken from the unified protocol", () => {
  const isOurs = (path: string): boolean => isRestUrl(`http://gateway:30889${path}`);
  for (const path of ["/v2", "/v2/", "/v2?x=1", "/v2/health/live", "/v2/models", "/v2/models/a/infer", "/v2/logging"]) {
    expect([path, isOurs(path)]).toEqual([path, true]);
  }
  for (const path of ["", "/", "/v2x", "/v2/iat", "/v2/modelsx", "/mmocr", "/x?serviceId=/v2", "/a/v2/models"]) {
    expect([path, isOurs(path)]).toEqual([path, false]);
  }
});
