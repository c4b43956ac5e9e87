import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../../config/load.ts";
import { type Configuration, isSameConfiguration, readConfiguration } from "./read-configuration.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-configuration-"));
  await mkdir(join(folder, "schemas"));
});
afterEach(() => rm(folder, { recursive: true }));

const write = (name: string, text: string) => writeFile(join(folder, name), text);
const schema = (meta: object) => JSON.stringify({ meta });
const path = () => join(folder, "gateway.yaml");

async function read(previous?: Configuration): Promise<Configuration> {
  const { result } = await readConfiguration(path(), previous);
  if (result instanceof ConfigError) throw result;
  return result;
}

async function mistakes(): Promise<readonly string[]> {
  const { result } = await readConfiguration(path());
  return result instanceof ConfigError ? result.mistakes : [];
}

const service = (id: string, more = "") => `  - { id: ${id}, endpoints: ["http://127.0.0.1:1"]${more} }\n`;

describe("readConfiguration()", () => {
  test("gives services the schema files of their ids, and those that they name", async () => {
    await write("schemas/schema_a.json", schema({ serviceId: "a", route: "/x", hosts: "h", session_timeout: 5 }));
    await write("schemas/schema_b.json", schema({ serviceId: "s0b", codeMap: { 1: 503, 2: 500 } }));
    await write("schemas/notes.json", "not read");
    const routes = `routes: ["/y", { path: "/z", hosts: [i] }], hosts: [g], timeoutMs: 7, codeMap: { 2: 404, -3: 400 }`;
    await write(
      "gateway.yaml",
      `schemas: [schemas]\nservices:\n${service("a")}${service("b", `, schema: s0b, ${routes}`)}${service("c")}`,
    );
    const [a, b, c] = (await read()).services;
    expect(a).toMatchObject({ ids: ["a"], timeoutMs: 5000, fileRoutes: [{ path: "/x", hosts: ["h"] }] });
    expect(a?.overlay).toBeDefined();
    expect(b).toMatchObject({
      ids: ["b", "s0b"],
      timeoutMs: 7,
      routes: [
        { path: "/y", hosts: ["g"] },
        { path: "/z", hosts: ["i"] },
      ],
    });
    expect([...(b?.codeMap ?? [])].toSorted()).toEqual([
      [-3, 400],
      [1, 503],
      [2, 404],
    ]);
    expect(c).toMatchObject({ ids: ["c"], timeoutMs: 60_000, routes: [], overlay: undefined });
  });

  test("bounds the timeout of a schema file by what gateway.yaml may say", async () => {
    await write("schema_a.json", schema({ serviceId: "a", session_timeout: 600_000 }));
    await write("gateway.yaml", `schemas: [schema_a.json]\nservices:\n${service("a")}`);
    expect((await read()).services[0]?.timeoutMs).toBe(3_600_000);
  });

  test("says what has no effect", async () => {
    await write("schemas/schema_a.json", schema({ serviceId: "a", enable_client_session: true, codeMap: { 5: 204 } }));
    await write("schemas/schema_b.json", schema({ serviceId: "b" }));
    await write("schemas/schema_c.json", schema({ serviceId: "c", cloudId: "north" }));
    await write("gateway.yaml", `schemas: [schemas]\nservices:\n${service("a")}`);
    expect((await read()).warnings).toEqual([
      "schema_a.json: meta.enable_client_session has no effect here",
      "schema_a.json: meta.codeMap.5 has no effect here",
      "schema_b.json: no service of gateway.yaml uses it, so its requests lead nowhere",
      "schema_c.json: it belongs to the cloud 'north', which no request reaches",
    ]);
  });

  test("tells the mistakes of every file at once, each with its file and line", async () => {
    await write("schemas/schema_a.json", '{\n  "meta": {}\n}');
    await write("schemas/schema_b.json", "{");
    await write("schemas/schema_c.json", schema({ serviceId: "c" }));
    await write("schemas/schema_d.json", schema({ serviceId: "c" }));
    const bad = JSON.stringify({ meta: { serviceId: "e", service: ["e"], e: { input: { "bad name": "text" } } } });
    await write("schemas/schema_e.json", bad);
    await write(
      "gateway.yaml",
      `schemas: [schemas, nowhere]\nservices:\n${service("a", ", schema: zz")}${service("c")}${service("d", ", schema: c")}${service("e")}`,
    );
    expect(await mistakes()).toEqual([
      "line 1: schemas.1: 'nowhere' cannot be read (ENOENT)",
      expect.stringContaining("schema_a.json: line 2: meta.serviceId"),
      expect.stringContaining("schema_b.json: line 1"),
      "schema_d.json: line 1: meta.serviceId: 'c' stands in schema_c.json too",
      "line 3: services.0.schema: no schema file has the serviceId 'zz'",
      "line 5: services.2: schema_c.json describes 'c' already",
      expect.stringContaining("schema_e.json: the definition of service 'e' is broken: 'inputs'"),
      "line 2: services: the id 'c' leads to 'c' and to 'd'",
    ]);
  });

  test("refuses a path that would lead to two services", async () => {
    await write(
      "gateway.yaml",
      `services:\n${service("a", `, routes: ["/x"]`)}${service("b", `, routes: ["/x"]`)}${service("c", `, routes: ["/x"], hosts: [h]`)}`,
    );
    expect(await mistakes()).toEqual(["line 1: services: the path '/x' leads to 'a' and to 'b'"]);
  });

  test("lets the path of a schema file give way, and says so", async () => {
    for (const id of ["a", "b"])
      await write(`schemas/schema_${id}.json`, schema({ serviceId: id, route: ["/x", "/y"] }));
    await write(
      "gateway.yaml",
      `schemas: [schemas]\nservices:\n${service("a")}${service("b")}${service("c", `, routes: ["/y"]`)}`,
    );
    expect((await read()).warnings).toEqual([
      "schemas: the path '/y' leads to 'c' and to 'a'; the first has it",
      "schemas: the path '/x' leads to 'a' and to 'b'; the first has it",
      "schemas: the path '/y' leads to 'c' and to 'b'; the first has it",
    ]);
  });

  test("plans the categories of both sources", async () => {
    const subRoute = [
      { subServiceId: "a", priority: 10, rules: { "$.parameter.ocr.lang": ["zh", "zh-tw"] } },
      { subServiceId: "gone", rules: { "$.header.status": 3 } },
    ];
    await write("schemas/schema_t.json", schema({ serviceId: "t", type: "category", route: "/t", subRoute }));
    await write(
      "schemas/schema_u.json",
      schema({ serviceId: "u", companion_route: ["/u"], subRoute, routeKey: ["lang"] }),
    );
    const own = `categories: [{ id: v, routes: [/v], rules: [{ service: t, when: { "$.payload.d[0].e": [1, true] } }, { service: a }] }]`;
    await write("gateway.yaml", `schemas: [schemas]\nservices:\n${service("a")}${own}`);
    const { categories, warnings } = await read();
    expect(categories).toMatchObject([
      {
        id: "v",
        ids: ["v"],
        routes: [{ path: "/v" }],
        rules: [
          {
            service: "t",
            priority: 0,
            conditions: [{ path: ["payload", "d", "0", "e"], allowed: new Set(["1", "true"]) }],
          },
          { service: "a", conditions: [] },
        ],
      },
      { id: "t", ids: ["t"], fileRoutes: [{ path: "/t" }], firstPaths: [] },
      { id: "u", ids: [], fileRoutes: [], firstPaths: ["/u"], routeKeys: ["lang"] },
    ]);
    expect(warnings).toEqual([
      "category 't': its rule for 'gone' leads nowhere, as that service is not here",
      "category 'u': its rule for 'gone' leads nowhere, as that service is not here",
    ]);
  });

  test("refuses rules that lead nowhere or in a circle, and conditions that cannot be read", async () => {
    const subRoute = [{ subServiceId: "v", rules: { "$.other": 1, "$.header.a": { b: 1 } } }];
    await write("schemas/schema_t.json", schema({ serviceId: "t", type: "category", subRoute }));
    await write(
      "gateway.yaml",
      `schemas: [schemas]\nservices:\n${service("a")}categories:\n  - { id: v, rules: [{ service: t }, { service: b, when: { "$.header.a..b": 1 } }] }\n  - { id: a, rules: [{ service: a }] }`,
    );
    expect(await mistakes()).toEqual(["line 6: categories.1.id: 'a' stands twice"]);
    await write(
      "gateway.yaml",
      `schemas: [schemas]\nservices:\n${service("a")}categories:\n  - { id: v, rules: [{ service: t }, { service: b, when: { "$.header.a..b": 1 } }] }`,
    );
    expect(await mistakes()).toEqual([
      "line 5: categories.0.rules.1.when.$.header.a..b: expected a path to one value, such as $.parameter.ocr.lang",
      expect.stringContaining("schema_t.json: line 1: meta.subRoute.0.rules.$.other: expected a path"),
      expect.stringContaining("schema_t.json: line 1: meta.subRoute.0.rules.$.header.a: expected a text"),
      "line 5: categories.0.rules.1.service: neither a service nor a category is called 'b'",
      "categories: v → t → v is a loop",
    ]);
  });

  test("keeps the plans of services of which nothing has changed, and tells whether anything has", async () => {
    for (const id of ["a", "b"]) await write(`schemas/schema_${id}.json`, schema({ serviceId: id }));
    await write("gateway.yaml", `schemas: [schemas]\nservices:\n${service("a")}${service("b")}${service("c")}`);
    const first = await read();
    const again = await read(first);
    expect(isSameConfiguration(first, again)).toBe(true);
    expect(again.services.every((plan, index) => plan === first.services[index])).toBe(true);
    await write("schemas/schema_b.json", schema({ serviceId: "b", route: "/b" }));
    await write(
      "gateway.yaml",
      `schemas: [schemas]\nservices:\n${service("a")}${service("b")}${service("c", ", timeoutMs: 5")}`,
    );
    const changed = await read(first);
    expect(isSameConfiguration(first, changed)).toBe(false);
    expect(changed.services.map((plan, index) => plan === first.services[index])).toEqual([true, false, false]);
  });

  test("has the apps and secrets of admission's files, which count as a change and as mistakes like the others", async () => {
    const apps = (more = "") =>
      `apps: [{ id: one, services: ["*"], signatureKeys: [{ key: k, secretFile: one.secret }]${more} }]`;
    await write("one.secret", "0123456789abcdef");
    await write("apps.yaml", apps());
    await write("gateway.yaml", `admission: { appsFile: apps.yaml }\nservices:\n${service("a")}`);
    const first = await read();
    expect(first.admission?.apps[0]?.signatureKeys).toEqual([{ key: "k", secret: "0123456789abcdef" }]);
    expect(isSameConfiguration(first, await read(first))).toBe(true);
    await write("one.secret", "fedcba9876543210");
    expect(isSameConfiguration(first, await read(first))).toBe(false);
    await write("apps.yaml", apps(", limit: 5"));
    await write("gateway.yaml", `admission: { appsFile: apps.yaml }\nschemas: [none]\nservices:\n${service("a")}`);
    expect(await mistakes()).toEqual([
      "line 2: schemas.0: 'none' cannot be read (ENOENT)",
      "admission: apps.yaml: line 1: apps.0.limit: unknown key",
    ]);
    expect((await readConfiguration(path())).sources).toEqual(
      ["gateway.yaml", "none", "apps.yaml"].map((name) => join(folder, name)),
    );
  });

  test("tells what it was read from, even where that is no good", async () => {
    await write("gateway.yaml", `schemas: [schemas, nowhere/schema_x.json]\nservices:\n${service("a")}`);
    const { sources, result } = await readConfiguration(path());
    expect(sources).toEqual(["gateway.yaml", "schemas", "nowhere/schema_x.json"].map((name) => join(folder, name)));
    expect(result).toBeInstanceOf(ConfigError);
    await write("gateway.yaml", "{");
    expect((await readConfiguration(path())).sources).toEqual([path()]);
    expect((await readConfiguration(join(folder, "none.yaml"))).result).toBeInstanceOf(ConfigError);
  });
});
