import { styleText } from "node:util";
import type { LogLine } from "./service-process.ts";

/**
 * A gateway's or loader's log line for a person: the time of day, the service or process that it is about, and what
 * happened. Undefined for lines that say nothing to somebody who sees the command's own output.
 */
export function readableLog(line: LogLine): string | undefined {
  const text = textOf(line);
  if (text === undefined) return undefined;
  const subject = String(line.service || line.name || "");
  return `${timeOf(line.time)} ${styleText("cyan", subject)} ${styled(line.level, text)}`;
}

/** Messages about the process that the command starts and stops itself. */
const ownMatters: ReadonlySet<unknown> = new Set(["listening", "draining", "stopped", "ready", "loaded", "reloaded"]);

function textOf(line: LogLine): string | undefined {
  // A fatal line is what a start fails with, and the command tells that.
  if (ownMatters.has(line.msg) || line.level === "fatal") return undefined;
  // One that was loaded anew, or the command ends.
  if (line.msg === "not ready" && line.reason === "stopping") return undefined;
  if (line.msg === "output") return `| ${line.output}`;
  if (line.msg === "progress") return String(line.progress);
  if (line.msg === "request") return requestText(line);
  const why = line.reason ?? errorText(line.err);
  return why === undefined ? String(line.msg) : `${line.msg}: ${why}`;
}

function requestText({ status, outcome, durationMs, reason }: LogLine): string {
  const words = `${status} ${outcome} ${milliseconds(Number(durationMs))}`;
  return reason === undefined ? words : `${words}: ${reason}`;
}

function errorText(err: unknown): unknown {
  return typeof err === "object" && err !== null && "message" in err ? err.message : undefined;
}

function styled(level: unknown, text: string): string {
  if (level === "error") return styleText("red", text);
  return level === "warn" ? styleText("yellow", text) : text;
}

function timeOf(time: unknown): string {
  return new Date(typeof time === "number" ? time : Date.now()).toTimeString().slice(0, 8);
}

/** A duration in milliseconds for a person. */
export function milliseconds(duration: number): string {
  return `${duration < 10 ? duration.toFixed(1) : Math.round(duration)} ms`;
}
