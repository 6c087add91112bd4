// How numbers, times, refs and scores are written.
export const count = n => n.toLocaleString();
export const compact = n => n.toLocaleString(undefined, { notation: "compact" });
export const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
export const digits = n => n.toLocaleString(undefined, { maximumSignificantDigits: 3 });
const usd = n => `$${n.toLocaleString(undefined, { maximumSignificantDigits: 12 })}`;
export const share = of => of > 0.999 && of < 1 ? ">99.9 %" : of > 0 && of < 0.001 ? "<0.1 %" : `${digits(100 * of)} %`;
export const costOf = cost => [
  cost.usd === null ? "unknown" : usd(cost.usd),
  `${plural(cost.requests, "request")}, ${count(cost.input_tokens)} + ${count(cost.output_tokens)} tokens`,
  cost.unpriced_requests && `${count(cost.unpriced_requests)} without a price`,
  cost.unanswered_requests && `${count(cost.unanswered_requests)} without an answer`,
].filter(Boolean).join(", ");
export const nameOf = ref => ref.slice(ref.lastIndexOf("/") + 1).replace(/:[^:]*$/, "");
export const digestOf = ref => ref.slice(ref.lastIndexOf(":") + 1, ref.lastIndexOf(":") + 9);
export const when = time => new Date(time).toLocaleString();
export const briefly = time => new Date(time).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });
export const spoken = name => name.replaceAll("_", " ");
export const textOf = value => typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "";

const SHORT = 40; // characters: longer texts are reasons, which have room where a score is opened
const short = (name, value) => {
  if (typeof value === "boolean") return name === "passed" || !name ? value ? "passed" : "not passed" : `${name} ${value ? "yes" : "no"}`;
  const text = typeof value === "number" ? digits(value) : typeof value === "string" && value.length <= SHORT ? value : "";
  return text && name ? `${name} ${text}` : text;
};
// A score's value in a few words.
export const valueOf = ({ status, output, error }) => {
  if (status !== "succeeded") return error ? `${status}: ${error.type}` : status;
  const fields = output !== null && typeof output === "object" ? Object.entries(output) : [["", output]];
  return fields.map(([name, value]) => short(name, value)).filter(Boolean).join(" · ") || "scored";
};
export const passed = ({ output }) => typeof output === "boolean" ? output : output?.passed;
