import { Gauge, type Registry } from "prom-client";

/** What a gateway holds for its WebSocket clients at the moment of a scrape. */
export interface WebSocketCounts {
  readonly connections: number;
  /** Sessions that their clients may take up again, those that are over included. */
  readonly resumable: number;
}

/** Adds the gauges of the gateway's two tables of WebSocket clients. */
export function addWebSocketGauges(registry: Registry, counts: () => WebSocketCounts): void {
  const add = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  };
  add("athena_gateway_websockets", "WebSockets that are open.", () => counts().connections);
  add(
    "athena_gateway_resumable_sessions",
    "Sessions that are kept for clients that come back, those included that have ended and may be asked for their last words.",
    () => counts().resumable,
  );
}
