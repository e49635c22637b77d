() => {
  /* The words on the page whose contrast with what lies behind them is below 4.5 to 1 (WCAG 2.2, relative luminance). */
  const parse = (text) => {
    const srgb = text.startsWith("color(srgb");
    const v = text.match(/[\d.]+(e-?\d+)?/g).map(Number);
    const [r, g, b] = v.slice(0, 3).map((x) => (srgb ? 255 * x : x));
    return [r, g, b, v.length > 3 ? v[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map((k) => top[k] * top[3] + below[k] * (1 - top[3])).concat(1);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    const layers = [];
    for (let n = e; n; n = n.parentElement) layers.push(parse(getComputedStyle(n).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const faint = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (e.closest(".tucked, script, style, :disabled, [aria-disabled=true]")) continue; // 1.4.3 leaves out what is switched off
    const back = behind(e);
    const [a, b] = [light(over(parse(getComputedStyle(e).color), back)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${walk.currentNode.textContent.trim().slice(0, 40)} (${e.className})`);
  }
  return faint;
}
