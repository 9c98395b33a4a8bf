/** One promise per key, made by the first caller and shared by the others; one that fails is forgotten, so that the next call tries anew. */
export function memoized<A, T>(make: (argument: A) => Promise<T>, keyOf: (argument: A) => string = String): (argument: A) => Promise<T> {
  const made = new Map<string, Promise<T>>();
  return (argument) => {
    const key = keyOf(argument);
    let promise = made.get(key);
    if (!promise) {
      promise = make(argument);
      made.set(key, promise);
      promise.catch(() => made.delete(key));
    }
    return promise;
  };
}
