import { expect, test } from "bun:test";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";
import { createOpenAdmission } from "../admission/admission.ts";
import { addHealthService } from "./health.ts";

let ids: readonly string[] = [];
let isDraining = false;
const transport = createRouterTransport((router) =>
  addHealthService(router, {
    isDraining: () => isDraining,
    isReady: (id) => (ids.includes(id) ? !id.startsWith("broken") : undefined),
    serviceIds: () => ids,
    admission: createOpenAdmission(100),
  }),
);
const client = createClient(Health, transport);

const listed = async () => {
  const { statuses } = await client.list({});
  return Object.fromEntries(Object.entries(statuses).map(([id, { status }]) => [id, status]));
};

test("the list tells each service's health as a check of it does, and that of a drain", async () => {
  ids = ["echo", "broken", "__proto__"];
  const [serving, not] = [ServingStatus.SERVING, ServingStatus.NOT_SERVING];
  expect(await listed()).toEqual({ "": serving, echo: serving, broken: not, ["__proto__"]: serving });
  for (const [service, status] of Object.entries(await listed())) {
    expect((await client.check({ service })).status).toBe(status);
  }
  isDraining = true;
  expect(new Set(Object.values(await listed()))).toEqual(new Set([not]));
  isDraining = false;
});

test("a list of more than a hundred services is refused, not cut short", async () => {
  ids = Array.from({ length: 100 }, (_, index) => `service-${index}`);
  expect(Object.keys(await listed())).toHaveLength(101);
  ids = [...ids, "one-more"];
  const error = await client.list({}).then(
    () => new ConnectError("answered"),
    (thrown) => ConnectError.from(thrown),
  );
  expect([error.code, error.rawMessage]).toEqual([Code.ResourceExhausted, expect.stringContaining("101 services")]);
});
