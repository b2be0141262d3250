// Every page as it looks, on a phone and on a desktop, light and dark; judged for accessibility, for what does not fit, and for
// what the browser complains of.
import axe from 'axe-core';
import { join } from 'node:path';

const WIDTHS = [390, 1280];
const SCHEMES = ['light', 'dark'];
// Chromium draws no picture of any height.
const HIGHEST = 6_000;

/** Pages for the person who is signed in in `context`, each [name, path or a step that leads there, the status if not 200]. Gives
 * what is wrong. */
export async function shoot(context, pages, { folder, set }) {
  const problems = [];
  const page = await context.newPage();
  let at = '';
  // The browser says in its console that a page was refused; where that is what is pictured, it is no problem.
  let refusal = '';
  page.on('console', (message) => {
    // The double of GitHub has no icon.
    const icon = message.location().url.endsWith('/favicon.ico');
    if (message.type() === 'error' && !icon && !(refusal && message.text().includes(refusal))) {
      problems.push(`${at}: console: ${message.text()}`);
    }
  });
  page.on('pageerror', (error) => problems.push(`${at}: ${error.message}`));
  for (const [name, way, expected = 200] of pages) {
    at = `${set}/${name}`;
    refusal = expected === 200 ? '' : `status of ${expected}`;
    const answer = typeof way === 'string' ? await page.goto(way) : await way(page);
    if (answer && answer.status() !== expected) {
      problems.push(`${at}: answered ${answer.status()}`);
      continue;
    }
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      for (const colorScheme of SCHEMES) {
        await page.emulateMedia({ colorScheme });
        const { height, wide } = await page.evaluate(() => ({
          height: document.documentElement.scrollHeight, wide: document.documentElement.scrollWidth - innerWidth,
        }));
        if (wide > 0) {
          problems.push(`${at}: ${wide} pixels do not fit at ${width}`);
        }
        const path = join(folder, `${set}-${name}-${width}-${colorScheme}.png`);
        const clip = { x: 0, y: 0, width, height: Math.min(height, HIGHEST) };
        await page.screenshot({ path, clip, fullPage: true, animations: 'disabled' });
        problems.push(...(await judge(page)).map((found) => `${at} at ${width}, ${colorScheme}: ${found}`));
      }
    }
  }
  await page.close();
  return [...new Set(problems)];
}

/** Serious findings of axe. */
async function judge(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return serious.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
}
