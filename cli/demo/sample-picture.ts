import { drawText } from "../../tests/fixtures/drawn-text.ts";

/** Draws the demo's picture: a notice of a few lines in several sizes, one of them rotated. Returns PNG. */
export function drawSamplePicture(): Promise<Uint8Array> {
  return drawText({
    width: 900,
    height: 520,
    background: "#f4efe4",
    lines: [
      { text: "Athena Serving", x: 60, y: 110, size: 76, color: "#1f3a5f" },
      { text: "turns your inference code", x: 64, y: 190, size: 44, color: "#333333" },
      { text: "into one standard service", x: 64, y: 250, size: 44, color: "#333333" },
      { text: "before tonight", x: 560, y: 440, size: 52, angle: -18, color: "#a4243b" },
      { text: "Port 30889", x: 64, y: 420, size: 40, color: "#333333" },
      { text: "Gateway and loaders", x: 64, y: 480, size: 34, color: "#555555" },
    ],
  });
}
