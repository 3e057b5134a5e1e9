// Asks again and again, one question at a time, and not while nobody looks.

/** Calls `question` at once and then `every` milliseconds after each answer, until the signal ends it. */
export function poll(question, every, signal) {
  let timer;
  const again = async () => {
    if (!document.hidden) await question().catch((error) => { if (error.name !== "AbortError") throw error; });
    if (!signal.aborted) timer = setTimeout(again, every);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  again();
}
