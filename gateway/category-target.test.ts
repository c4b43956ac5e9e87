import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import type { ServingError } from "../proto/errors.ts";
import {
  type InferRequest,
  InferResponseSchema,
  InferStreamResponseSchema,
  Status,
} from "../proto/gen/athena/v1/inference_pb.ts";
import { createOpenAdmission } from "./admission/admission.ts";
import { createInFlight } from "./admission/in-flight.ts";
import type { CategoryPlan } from "./configuration/category-plan.ts";
import { createUnified, unifiedSessions } from "./dialects.ts";
import { decodeEnvelope } from "./envelope/decode.ts";
import { createPipeline, type ServiceTarget } from "./pipeline.ts";
import { balancingKey } from "./router/balancing-key.ts";
import { requestPathFrom } from "./router/request-path.ts";
import { createServiceRouter, routeCategories } from "./routing.ts";
import { compileService } from "./schema/compile.ts";
import { mmocrDefinition } from "./schema/mmocr.cases.ts";
import { createSessionPipeline } from "./session-pipeline.ts";
import type { Call } from "./types.ts";

interface Sent {
  readonly service: string;
  readonly request: InferRequest;
}

/** A service that takes any parameters and answers with nothing; what it is sent is kept. */
function service(id: string, sent: Sent[], changes: Partial<ServiceTarget> = {}) {
  const compiled = compileService(
    mmocrDefinition({ id, stream: true, headerSchema: "", parametersSchema: "", version: "v1" }),
  );
  const target: ServiceTarget = {
    id,
    version: "",
    timeoutMs: 1000,
    session: { idleTimeoutMs: 1000, totalTimeoutMs: 1000 },
    hashKey: undefined,
    codeMap: undefined,
    compiled: () => compiled,
    async dispatch(request) {
      sent.push({ service: id, request });
      return create(InferResponseSchema, { service: id });
    },
    async *dispatchSession(request) {
      sent.push({ service: id, request });
      yield create(InferStreamResponseSchema, { response: { status: Status.END, service: id } });
    },
    ...changes,
  };
  return { plan: { ids: [id], routes: [], fileRoutes: [] }, target };
}

function category(id: string, rules: readonly [string, Record<string, string>][], more: Partial<CategoryPlan> = {}) {
  const conditionsOf = (when: Record<string, string>) =>
    Object.entries(when).map(([text, allowed]) => ({
      path: requestPathFrom(text) ?? expect.unreachable(text),
      allowed: new Set([allowed]),
    }));
  const plan: CategoryPlan = {
    id,
    ids: [id],
    routes: [],
    fileRoutes: [],
    firstPaths: [],
    routeKeys: [],
    rules: rules.map(([to, when]) => ({ service: to, priority: 0, conditions: conditionsOf(when) })),
    ...more,
  };
  return plan;
}

const lang = (value: string) => ({ "$.parameter.ocr.lang": value });

function start(categories: readonly CategoryPlan[], changes: Partial<ServiceTarget> = {}) {
  const sent: Sent[] = [];
  const waits: number[] = [];
  const services = [service("ocr_zh", sent, { timeoutMs: 5000 }), service("ocr_en", sent, changes)];
  const stages = {
    inFlight: createInFlight(10),
    admission: createOpenAdmission(100),
    route: createServiceRouter(services, routeCategories(categories, services)),
    newSid: () => "s",
    balancingKey,
    now: () => 0,
  };
  const pipeline = createPipeline(stages, { ...createUnified(decodeEnvelope), encode: () => "answer" });
  const callTo = (path: string): Call => ({
    method: "POST",
    target: () => path,
    path,
    host: "h",
    serviceId: null,
    clientAddress: "",
    header: () => null,
    signal: new AbortController().signal,
  });
  const bodyWith = (parameter: object) =>
    JSON.stringify({ header: { app_id: "1" }, parameter, payload: { data: { image: "AQID" } } });
  const ask = (path: string, parameter: object) =>
    pipeline(callTo(path), async (timeoutMs) => {
      waits.push(timeoutMs);
      return bodyWith(parameter);
    });
  const sessions = createSessionPipeline({
    ...stages,
    unified: unifiedSessions,
    maxSessions: 10,
    isDraining: () => false,
    observer: { onFrame() {}, onEnd() {} },
  });
  /** Opens a session and gives what it answers. */
  const stream = async (path: string, parameter: object): Promise<readonly unknown[]> => {
    const call = callTo(path);
    const frames = (async function* () {
      yield { envelope: decodeEnvelope(bodyWith(parameter)), place: 0 as const };
    })();
    const { events } = sessions.open({
      call,
      caller: createOpenAdmission(100)(call),
      kind: "session",
      protocol: "test",
      frames,
      encode: (_, response) => response.service,
    });
    return Array.fromAsync(events, (event) => (event.type === "result" ? event.answer : event.type));
  };
  return { ask, stream, sent, waits };
}

describe("a category", () => {
  const ocr = category(
    "ocr",
    [
      ["ocr_zh", lang("zh")],
      ["ocr_en", lang("en")],
      ["gone", lang("fr")],
    ],
    { routeKeys: ["lang"] },
  );

  test("sends a request to the service that its values mean, under that service's name, and tells the engine why", async () => {
    const { ask, sent, waits } = start([ocr]);
    expect(await ask("/v1/ocr", { ocr: { lang: "en", size: 3 } })).toMatchObject({
      service: "ocr_en",
      result: "answer",
    });
    expect(sent[0]).toMatchObject({
      service: "ocr_en",
      request: { service: "ocr_en", parameters: { lang: "en", size: "3" }, headers: { routekey: "en", app_id: "1" } },
    });
    expect(waits).toEqual([5000]);
  });

  test("refuses a request that it has no service for, with the predecessor's code", async () => {
    const { ask, sent } = start([ocr]);
    for (const [value, reason] of [
      ["de", "CATEGORY_UNMATCHED"],
      ["fr", "SERVICE_NOT_FOUND"],
    ] as const) {
      const { service, result } = await ask("/ocr", { ocr: { lang: value } });
      const error = result as ServingError;
      expect([service, error.reason, error.class.legacyCode]).toEqual(["ocr", reason, 10404]);
    }
    expect(sent).toEqual([]);
  });

  test("chooses the service of a session by its opening", async () => {
    const { stream, sent } = start([ocr]);
    expect(await stream("/ocr", { ocr: { lang: "en" } })).toEqual(["ocr_en"]);
    expect(sent[0]?.request).toMatchObject({ parameters: { lang: "en" }, headers: { routekey: "en" } });
    await expect(stream("/ocr", { ocr: { lang: "de" } })).rejects.toThrow("no companion route found");
    const unready = start([ocr], { compiled: () => undefined });
    await expect(unready.stream("/ocr", { ocr: { lang: "en" } })).rejects.toThrow("'ocr_en' is not ready");
  });

  test("may lead to another category, and may be found by a path that comes before every id", async () => {
    const outer = category(
      "any",
      [
        ["ocr", { "$.payload.data.kind": "x" }],
        ["ocr", {}],
      ],
      {
        ids: [],
        firstPaths: ["/v1/ocr_zh"],
        routeKeys: ["kind"],
      },
    );
    const { ask, sent } = start([outer, ocr]);
    expect((await ask("/v1/ocr_zh", { ocr: { lang: "en" } })).service).toBe("ocr_en");
    expect((await ask("/v2/ocr_zh", { ocr_zh: { lang: "en" } })).service).toBe("ocr_zh");
    expect((await ask("/any", { ocr: { lang: "en" } })).result).toMatchObject({ reason: "SERVICE_NOT_FOUND" });
    expect(sent.map((entry) => entry.request.headers.routekey)).toEqual(["en", undefined]);
  });

  test("says that the service it leads to is not ready, by that service's name", async () => {
    const { ask } = start([ocr], { compiled: () => undefined });
    const { service, result } = await ask("/ocr", { ocr: { lang: "en" } });
    expect(service).toBe("ocr_en");
    expect(result).toMatchObject({ reason: "SERVICE_NOT_READY", message: expect.stringContaining("'ocr_en'") });
  });
});
