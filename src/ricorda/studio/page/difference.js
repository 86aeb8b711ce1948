// What two texts have in common, in the same order: their words are compared, not their characters.
import { element } from "./dom.js";

const WORDS = /[\p{L}\p{M}\p{N}_]+|\n|[^\S\n]+|./gsu;
const MOST = 2000; // words that are compared; what follows counts as different
const MEANING = /[\p{L}\p{N}]/u;

const wordsOf = (text) => text.match(WORDS) ?? [];

function commonBeginning(first, second) {
  let count = 0;
  while (count < first.length && count < second.length && first[count] === second[count]) count += 1;
  return count;
}

// The longest common subsequence of two lists: pairs of places.
function commonPairs(first, second) {
  const [rows, columns] = [first.length + 1, second.length + 1];
  const longest = new Uint16Array(rows * columns); // from each pair of places to the ends
  for (let i = first.length - 1; i >= 0; i -= 1) {
    for (let j = second.length - 1; j >= 0; j -= 1) {
      longest[i * columns + j] = first[i] === second[j]
        ? longest[(i + 1) * columns + j + 1] + 1
        : Math.max(longest[(i + 1) * columns + j], longest[i * columns + j + 1]);
    }
  }
  const pairs = [];
  for (let i = 0, j = 0; i < first.length && j < second.length;) {
    if (first[i] === second[j]) pairs.push([i++, j++]);
    else if (longest[(i + 1) * columns + j] >= longest[i * columns + j + 1]) i += 1;
    else j += 1;
  }
  return pairs;
}

// Runs of pairs that hold no word, as a space or a comma between different words, say nothing.
function meaningful(pairs, words) {
  const runs = [];
  for (const pair of pairs) {
    const last = runs.at(-1)?.at(-1);
    if (last && pair[0] === last[0] + 1 && pair[1] === last[1] + 1) runs.at(-1).push(pair);
    else runs.push([pair]);
  }
  return runs.filter((run) => run.some(([place]) => MEANING.test(words[place]))).flat();
}

// Neighbours of one kind joined: [[text, whether it is in both]].
function parts(words, common) {
  const found = [];
  words.forEach((word, place) => {
    const same = common.has(place);
    if (found.length && found.at(-1)[1] === same) found.at(-1)[0] += word;
    else found.push([word, same]);
  });
  return found;
}

// begin: how many characters both begin with; share: the part of the first's words that is common
export function difference(one, other) {
  const [first, second] = [wordsOf(one), wordsOf(other)];
  const begin = commonBeginning(first, second);
  const rest = [first, second].map((words) => words.slice(begin, begin + MOST));
  const pairs = meaningful(commonPairs(...rest), rest[0]);
  const places = (side) => new Set([...Array(begin).keys(), ...pairs.map((pair) => pair[side] + begin)]);
  const [inFirst, inSecond] = [places(0), places(1)];
  const named = first.map((word, place) => [word, place]).filter(([word]) => MEANING.test(word));
  return {
    parts: [parts(first, inFirst), parts(second, inSecond)],
    begin: [...first.slice(0, begin).join("")].length,
    share: named.length ? named.filter(([, place]) => inFirst.has(place)).length / named.length : Number(one === other),
  };
}

// The same as elements: what is in both texts is grey, what is in one is marked in that one's colour.
export const markedParts = (found, side) =>
  found.parts[side].map(([text, same]) => element("span", { class: same ? "same" : `only only${side}` }, text));
