import { dlopen } from "bun:ffi";

/** The number of prctl's "send me this signal when my parent ends", from Linux's sys/prctl.h. */
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/** The C library's name with glibc, and with musl. */
const libraries = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];

/**
 * Asks the kernel to end this process when its parent ends. A process that computes without a pause does not see that its
 * socket closed. True when it worked: Linux alone can do it.
 */
export function endWithParent(): boolean {
  if (process.platform !== "linux") return false;
  for (const library of libraries) {
    try {
      const { symbols } = dlopen(library, {
        prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
      });
      return symbols.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) === 0;
    } catch {
      // Not this C library.
    }
  }
  return false;
}
