/** The highest priority that a request may have; the lowest is its negative. Few enough levels that a queue finds the highest at once. */
export const maxPriority = 100;
