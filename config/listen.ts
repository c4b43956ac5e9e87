import { z } from "zod";

const port = z.int().min(0).max(65535);

/** A TCP address to listen on. Port 0 takes any free one. */
export const tcpListenSchema = z.strictObject({ host: z.string().min(1).default("127.0.0.1"), port });

/** A TCP address or a Unix socket to listen on. */
export const listenSchema = z.union([tcpListenSchema, z.strictObject({ unix: z.string().min(1) })], {
  error: "expected { host, port } or { unix: /path }",
});

/** What {@link tcpListenSchema} makes. */
export type TcpListen = z.output<typeof tcpListenSchema>;

/** What {@link listenSchema} makes. */
export type Listen = z.output<typeof listenSchema>;
