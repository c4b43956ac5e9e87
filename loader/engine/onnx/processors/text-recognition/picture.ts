import { ServingError } from "../../../../../proto/errors.ts";

/** A decoded picture: rows from the top, three bytes (red, green, blue) for each pixel. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** The most pixels that are decoded: 120 MB of red, green and blue. */
export const maxPixels = 40_000_000;

/** The longest side that is decoded: past it a picture is a mistake or an attack, however few its pixels are. */
export const maxSide = 32_768;

/**
 * Refuses a size from a picture's header before anything is allocated for it. Throws ServingError INVALID_INPUT that
 * names `field`.
 */
export function assertPictureSize(width: number, height: number, field: string): void {
  if (width > maxSide || height > maxSide || width * height > maxPixels) {
    throw new ServingError(
      "INVALID_INPUT",
      `${field} is too large: ${width} x ${height} pixels, at most ${maxPixels} in all and ${maxSide} a side`,
    );
  }
}

/** The refusal of bytes that hold no picture; `field` is where the caller put them. */
export function unreadablePicture(field: string, cause?: unknown): ServingError {
  return new ServingError("INVALID_INPUT", `${field} is not a picture that can be read (JPEG, PNG, BMP or WebP)`, {
    cause,
  });
}
