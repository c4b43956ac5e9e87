import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { identityFromSource } from "./identity.ts";

const fixture = (name: string) => Bun.file(join(import.meta.dir, "../../../tests/fixtures/wrappers", name)).text();

describe("identityFromSource()", () => {
  test("reads the class attributes of a wrapper of the predecessor", async () => {
    expect(identityFromSource(await fixture("legacy.py"))).toEqual({ id: "legacy", version: "v1" });
    expect(identityFromSource(await fixture("short.py"))).toEqual({});
  });

  test("reads the decorator of a service, on one line or several", async () => {
    expect(identityFromSource(await fixture("modern.py"))).toEqual({ id: "greeter", version: "v2" });
    const source =
      'import athena\n\n@athena.service(\n    version=\'v3\',  # the third\n    description="a (b)",\n    id="x",\n)\ndef f(): ...\n';
    expect(identityFromSource(source)).toEqual({ id: "x", version: "v3" });
    const commas = '@athena.service(description="for id, version", id="a,b", version="1, 2")\ndef f(): ...\n';
    expect(identityFromSource(commas)).toEqual({ id: "a,b", version: "1, 2" });
    expect(identityFromSource('@athena.service\nclass A:\n    version = "v9"\n')).toEqual({});
  });

  test("finds nothing in other classes, methods, comments and texts, nor what is computed", () => {
    const wrapper = (...lines: readonly string[]) =>
      [
        "class Other:",
        '    serviceId = "other"',
        "class Wrapper(WrapperBase):",
        ...lines,
        "x = 1",
        '  version = "x"',
      ].join("\n");
    const said = (...lines: readonly string[]) => identityFromSource(wrapper(...lines));
    expect(said('    serviceId = "a"  # not "b"', '    version: str = "v7"')).toEqual({ id: "a", version: "v7" });
    expect(said('    # serviceId = "a"')).toEqual({});
    expect(said('    """', '    serviceId = "a"', '    """', "    serviceId = 'b'")).toEqual({ id: "b" });
    expect(said("    def f(self):", '        serviceId = "a"')).toEqual({});
    expect(said('    serviceId = "a" + NAME', '    version = os.environ["V"]')).toEqual({});
    expect(said('    note = "#"; serviceId = "a"', '    serviceId = ""')).toEqual({});
  });
});
