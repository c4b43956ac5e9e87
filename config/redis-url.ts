import { RedisClient } from "bun";

/** What is wrong with the URL of a Redis, in words without anything of it: it may hold a password. Undefined: nothing is. */
export function redisUrlMistake(url: string): string | undefined {
  if (!/^(rediss?|redis\+unix):\/\//.test(url)) return "expected redis://, rediss:// or redis+unix://";
  try {
    // Nothing knows better what the client takes, and it connects to nothing unless it is asked to.
    new RedisClient(url).close();
    return undefined;
  } catch {
    return "expected a URL such as redis://user:password@host:6379/0 or redis+unix:///path, special characters as %40";
  }
}
