import type { FrameData } from "./frame-codec.ts";

/** The frames of one session that its client has not acknowledged, by number, from 1. */
export interface ReplayLog {
  /** The number of the last frame that was added; 0 when there was none. */
  readonly last: number;
  /** The number of the last frame that was acknowledged. */
  readonly acknowledged: number;
  /** Adds the next frame. */
  add(data: FrameData): void;
  /** The frame of a number; undefined for one that was acknowledged, or was never there. */
  get(number: number): FrameData | undefined;
  /** Drops the frames up to this number. */
  acknowledge(number: number): void;
  /** Resolves when there is room for another frame; undefined when there is now. */
  room(): Promise<void> | undefined;
  /** From now on there is always room: nobody waits any more. */
  open(): void;
}

/** What a log holds before it asks to wait. */
export interface ReplayLimits {
  readonly maxFrames: number;
  readonly maxBytes: number;
}

/** Builds an empty log. */
export function createReplayLog({ maxFrames, maxBytes }: ReplayLimits): ReplayLog {
  const frames: FrameData[] = [];
  let acknowledged = 0;
  let bytes = 0;
  let isOpen = false;
  let waiting: PromiseWithResolvers<void> | undefined;

  const isFull = (): boolean => !isOpen && (frames.length >= maxFrames || bytes >= maxBytes);
  const wake = (): void => {
    if (isFull()) return;
    waiting?.resolve();
    waiting = undefined;
  };
  return {
    get last() {
      return acknowledged + frames.length;
    },
    get acknowledged() {
      return acknowledged;
    },
    add(data) {
      frames.push(data);
      bytes += data.length;
    },
    get: (number) => frames[number - acknowledged - 1],
    acknowledge(number) {
      for (const { length } of frames.splice(0, Math.max(0, number - acknowledged))) {
        acknowledged += 1;
        bytes -= length;
      }
      wake();
    },
    room() {
      if (!isFull()) return undefined;
      waiting ??= Promise.withResolvers();
      return waiting.promise;
    },
    open() {
      isOpen = true;
      wake();
    },
  };
}
