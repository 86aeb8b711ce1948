// Numbers as the page's language writes them; what is missing or not finite is a dash.
const formats = new Map(); // making one is slow, and a chart writes hundreds of numbers

export function formatted(value, options) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const language = document.documentElement.lang;
  const key = `${language} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(language, options));
  return formats.get(key).format(value);
}

export const number = (value, digits = 0) =>
  formatted(value, { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const short = (value) => formatted(value, { notation: "compact", maximumSignificantDigits: 3 });

export function percent(value) {
  const style = { style: "percent", maximumFractionDigits: value > 0.1 && value < 0.99 ? 0 : 1 };
  if (value > 0 && value < 0.001) return `< ${formatted(0.001, style)}`;
  if (value > 0.999 && value < 1) return `> ${formatted(0.999, style)}`;
  return formatted(value, style);
}
