import { styleText } from "node:util";
import { milliseconds } from "../readable-log.ts";
import type { Check } from "./checks.ts";

/** The checks of one call of a service. */
export interface CheckedCall {
  /** "load", "once" or "stream". */
  readonly call: string;
  readonly checks: readonly Check[];
}

/** The table of what was checked of one service. */
export function tableFrom(service: string, calls: readonly CheckedCall[]): string {
  const rows = calls.flatMap(({ call, checks }) =>
    checks.map(({ name, isPassed, durationMs, detail }) => ({
      mark: isPassed ? styleText("green", "pass") : styleText("red", "FAIL"),
      call,
      name,
      time: durationMs === undefined ? "" : milliseconds(durationMs),
      detail,
    })),
  );
  const width = (column: "call" | "name" | "time") => Math.max(0, ...rows.map((row) => row[column].length));
  const [callWidth, nameWidth, timeWidth] = [width("call"), width("name"), width("time")];
  const lines = rows.map(({ mark, call, name, time, detail }) =>
    `  ${mark}  ${call.padEnd(callWidth)}  ${name.padEnd(nameWidth)}  ${time.padStart(timeWidth)}  ${detail}`.trimEnd(),
  );
  return [service, ...lines].join("\n");
}
