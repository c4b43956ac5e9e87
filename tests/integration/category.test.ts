import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ServiceProcess } from "../../cli/service-process.ts";
import { post, startGateway, urlOf } from "./cluster.ts";
import { frameOf, openSocket, startLoaderOf, type TestLoader, textOf } from "./websocket-client.ts";

/** Gives its input back in an output that says which service it was. */
const service = (format: string) => `
engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text, attributes: { format: { type: string, default: ${format} } } } }
parameters: { lang: { type: string } }
once: true
stream: true
`;
let loader: TestLoader;
let gateway: ServiceProcess;
let url: string;

beforeAll(async () => {
  loader = await startLoaderOf({ german: `id: german\n${service("de")}`, english: `id: english\n${service("en")}` });
  const rules = [
    { service: "german", when: { "$.parameter.any.lang": ["de", "at"] } },
    { service: "english", when: { "$.parameter.any.lang": "en" } },
  ];
  const services = ["german", "english"].map((id) => ({ id, endpoints: [urlOf(loader.loader)] }));
  gateway = await startGateway(services, { categories: [{ id: "any", rules }] });
  url = `${urlOf(gateway)}/v1/private/any`;
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

const withLang = (frame: object, lang: string) => ({ ...frame, parameter: { any: { lang } } });
const languages = [
  ["at", "de"],
  ["en", "en"],
] as const;

describe("a category", () => {
  test.each(languages)("chooses a service by a request's values: %s", async (lang, format) => {
    const { status, body } = await post(url, withLang(frameOf("hi", 3), lang));
    expect([status, body.payload?.data?.format, body.payload?.data?.text]).toEqual([200, format, btoa("hi")]);
  });

  test.each(languages)("chooses one for a whole session by its first frame: %s", async (lang, format) => {
    const socket = await openSocket(url);
    socket.send(withLang(frameOf("a", 0), lang));
    await socket.next();
    const first = await socket.next();
    // What a later frame says of it has no effect.
    socket.send(withLang(frameOf("b", 2), lang === "en" ? "de" : "en"));
    const last = await socket.next();
    expect([first, last].map((frame) => [textOf(frame), frame.payload?.data?.format])).toEqual([
      ["a", format],
      ["b", format],
    ]);
    expect((await socket.closed).code).toBe(1000);
  });

  test("chooses for each session of a WebSocket that has many", async () => {
    const socket = await openSocket(`${url}?stream_mode=multiplex`);
    for (const [lang] of languages) socket.send(withLang(frameOf(lang, 3, { cid: lang }), lang));
    const results = [await socket.next(), await socket.next()];
    expect(results.map(({ header, payload }) => [header.cid, payload?.data?.format]).sort()).toEqual([
      ["at", "de"],
      ["en", "en"],
    ]);
    socket.close();
  });

  test("says that none of its rules holds, and whose mistake that is, over HTTP and WebSocket", async () => {
    const { status, body } = await post(url, withLang(frameOf("hi", 3), "fr"));
    expect([status, body.header.code]).toEqual([400, 10404]);
    const socket = await openSocket(url);
    socket.send(withLang(frameOf("hi", 0), "fr"));
    expect((await socket.next()).header).toMatchObject({ code: 10404, message: body.header.message });
    expect((await socket.closed).code).toBe(1008);
  });
});
