import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ServiceProcess } from "../../cli/service-process.ts";
import { post, startGateway, startLoader, urlOf } from "./cluster.ts";

let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  gateway = await startGateway([{ id: "echo", endpoints: [urlOf(loader)] }]);
});

afterAll(async () => {
  await gateway.stop(5000);
  await loader.stop(5000);
});

const get = (path: string) => fetch(`${urlOf(gateway)}${path}`, { redirect: "manual" });

describe("the page about the services", () => {
  test("is made of the gateway's own files alone", async () => {
    const response = await get("/docs");
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'self'");
    const page = await response.text();
    const files = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = ""]) => path);
    expect(files.filter((path) => path !== "data:," && !path.startsWith("/docs/"))).toEqual([]);
    for (const path of files.filter((file) => file !== "data:,")) {
      const file = await get(path);
      expect([path, file.status, file.headers.get("cache-control")]).toEqual([
        path,
        200,
        expect.stringContaining("immutable"),
      ]);
      expect((await file.text()).length).toBeGreaterThan(100);
    }
    expect(page).not.toMatch(/<script>|style=/);
  });

  test("is where the predecessor's was led to", async () => {
    for (const path of ["/swagger/index.html", "/swagger", "/docs/"]) {
      const response = await get(path);
      expect([response.status, response.headers.get("location")]).toEqual([302, "/docs"]);
    }
  });

  test("leaves every other request to the services", async () => {
    expect((await post(`${urlOf(gateway)}/docs`, {})).body.header).toMatchObject({
      message: "service 'docs' not found",
    });
    expect((await get("/docs/other.js")).status).toBe(404);
  });
});
