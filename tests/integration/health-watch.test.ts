import { expect, test } from "bun:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { addressOf } from "../../cli/service-process.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";
import { startCluster } from "../conformance/oip/cluster.ts";

test("a watcher is told of a service's health, of its change, and of the drain, over each protocol", async () => {
  const cluster = await startCluster(["echo"]);
  const { url } = cluster;
  const clients = [
    createConnectTransport({ baseUrl: url, httpVersion: "1.1" }),
    createConnectTransport({ baseUrl: url, httpVersion: "2" }),
    createGrpcWebTransport({ baseUrl: url, httpVersion: "2" }),
    createGrpcTransport({ baseUrl: addressOf(cluster.gateway, "grpc") }),
  ].map((transport) => createClient(Health, transport));
  const begin = async (service: string) => {
    const streams = clients.map((client) => client.watch({ service })[Symbol.asyncIterator]());
    const first = await Promise.all(streams.map((stream) => stream.next()));
    return { streams, statuses: first.map(({ value }) => value?.status) };
  };
  const nextOf = (streams: Awaited<ReturnType<typeof begin>>["streams"]) =>
    Promise.all(streams.map(async (stream) => (await stream.next()).value?.status));

  const echo = await begin("echo");
  expect(new Set(echo.statuses)).toEqual(new Set([ServingStatus.SERVING]));
  expect(new Set((await begin("nobody")).statuses)).toEqual(new Set([ServingStatus.SERVICE_UNKNOWN]));
  const all = await begin("");
  await cluster.loader.stop();
  expect(new Set(await nextOf(echo.streams))).toEqual(new Set([ServingStatus.NOT_SERVING]));
  const drained = nextOf(all.streams);
  expect(await cluster.gateway.stop()).toBe(0);
  expect(new Set(await drained)).toEqual(new Set([ServingStatus.NOT_SERVING]));
  for (const stream of [...echo.streams, ...all.streams]) expect((await stream.next()).done).toBe(true);
});

test("a watcher that leaves is let go", async () => {
  const cluster = await startCluster(["echo"]);
  const client = createClient(Health, createGrpcTransport({ baseUrl: addressOf(cluster.gateway, "grpc") }));
  const leaving = new AbortController();
  const stream = client.watch({ service: "echo" }, { signal: leaving.signal })[Symbol.asyncIterator]();
  await stream.next();
  leaving.abort();
  const error = await stream.next().then(
    () => undefined,
    (thrown) => ConnectError.from(thrown),
  );
  expect(error?.code).toBe(Code.Canceled);
  await cluster.stop();
});
