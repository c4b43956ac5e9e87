import type { Engine } from "../engine.ts";
export function createOnnxEngine(_o: unknown): Engine {
  throw new Error("stub");
}
export function onnxSlots(_o: unknown): number {
  return 1;
}
