// What the checks measure in a page. Each function returns lines for people to read.
window.checkbook = (() => {
  const shown = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const name = (e) => {
    const text = (e.textContent ?? "").trim().replace(/\s+/g, " ").slice(0, 40);
    const kind = [e.localName, ...e.classList].slice(0, 3).join(".");
    return text ? `${kind} "${text}"` : kind;
  };
  const article = () => document.querySelector("article.bd-article, .bd-search-container");
  // Text that only screen readers find is meant to be clipped.
  const HIDDEN = "mjx-assistive-mml, .visually-hidden, .sr-only, .headerlink";
  const THEME = ".search-button__kbd-shortcut"; // its hint at a key, pale on purpose

  // What is folded is measured too.
  function unfold() {
    for (const fold of article().querySelectorAll("details")) fold.open = true;
    for (const title of article().querySelectorAll(".toggle-hidden > .admonition-title")) title.click();
  }

  // Overflow ----------------------------------------------------------------------------------

  const clips = (e) => getComputedStyle(e).overflowX !== "visible";
  const scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflowX);
  const above = (e, test) => {
    let p = e.parentElement;
    while (p && p !== document.body && !test(p)) p = p.parentElement;
    return p ?? document.body;
  };

  function outside(e) {
    const box = e.getBoundingClientRect();
    if (box.width === 0) return null;
    const clip = above(e, clips);
    if (clip === document.body) {
      const page = article().getBoundingClientRect();
      const out = Math.max(box.right - Math.min(page.right, innerWidth), page.left - box.left);
      return out > 2 ? `sticks out of the page by ${Math.round(out)} px` : null;
    }
    const edge = clip.getBoundingClientRect();
    const left = edge.left - box.left - clip.scrollLeft;
    if (left > 2) return `loses ${Math.round(left)} px on its left`;
    const right = box.right - edge.right;
    if (right > 2 && !scrolls(clip)) return `loses ${Math.round(right)} px on its right`;
    return null;
  }

  function overflowing() {
    const lines = [];
    const wide = document.documentElement.scrollWidth;
    if (wide > innerWidth) lines.push(`the page is ${wide} px wide`);
    const reported = new Set();
    for (const e of article().querySelectorAll("*:not(svg *), svg text")) {
      if (!shown(e) || e.closest(HIDDEN)) continue;
      if (reported.has(e.parentElement)) reported.add(e);
      else {
        const what = outside(e);
        if (what) reported.add(e) && lines.push(`${name(e)} ${what}`);
      }
      if (getComputedStyle(e).overflowY === "hidden" && e.scrollHeight > e.clientHeight + 2 && e.clientHeight > 0)
        lines.push(`${name(e)} loses ${e.scrollHeight - e.clientHeight} px at its end`);
    }
    return lines;
  }

  // Boxes that scroll sideways can be reached with the keyboard, and say what they are.
  function unnamed() {
    return [...article().querySelectorAll("*:not(svg *)")]
      .filter((e) => shown(e) && scrolls(e) && e.scrollWidth > e.clientWidth + 1)
      .filter((e) => e.tabIndex < 0 || !e.getAttribute("aria-label") || !e.getAttribute("role"))
      .map((e) => `${name(e)} scrolls, without a tab stop, a role or a label`);
  }

  // Contrast ----------------------------------------------------------------------------------

  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const colour = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return { rgb: [r, g, b], a: a / 255 };
  };
  const mix = (top, under) => under.map((u, i) => top.a * top.rgb[i] + (1 - top.a) * u);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const opacity = (e) => {
    let all = 1;
    for (let p = e; p; p = p.parentElement) all *= Number(getComputedStyle(p).opacity);
    return all;
  };

  async function pixel(image, x, y) {
    const box = image.getBoundingClientRect();
    const picture = new Image();
    picture.src = image.href.baseVal;
    await picture.decode();
    const flipped = image.getScreenCTM().d < 0;
    const u = Math.floor(((x - box.left) / box.width) * picture.width);
    const v = Math.floor(((y - box.top) / box.height) * picture.height);
    canvas.clearRect(0, 0, 1, 1);
    canvas.drawImage(picture, u, flipped ? picture.height - 1 - v : v, 1, 1, 0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return { rgb: [r, g, b], a: a / 255 };
  }

  // The shapes of a drawing that lie under a point of it, then the boxes around the drawing.
  async function ground(e, x, y) {
    const layers = [];
    const svg = e instanceof SVGElement ? e.closest("svg") : null;
    if (svg) {
      const under = document.elementsFromPoint(x, y).filter((p) => svg.contains(p) && p !== svg && !p.closest("text"));
      for (const p of under) {
        if (p.localName === "image") layers.push(await pixel(p, x, y));
        else {
          const { fill, fillOpacity } = getComputedStyle(p);
          if (fill === "none") continue;
          // A marker is a copy, which is under the point only where it is painted.
          const inside = p.isPointInFill?.(new DOMPoint(x, y).matrixTransform(p.getScreenCTM().inverse()));
          if (!inside && p.localName !== "use") continue;
          const paint = colour(fill);
          layers.push({ ...paint, a: paint.a * Number(fillOpacity) * opacity(p) });
        }
      }
    }
    for (let p = svg ?? e; p; p = p.parentElement) layers.push(colour(getComputedStyle(p).backgroundColor));
    return layers.reverse().reduce((under, layer) => mix(layer, under), [255, 255, 255]);
  }

  function texts() {
    const walk = document.createTreeWalker(article(), NodeFilter.SHOW_TEXT);
    const found = new Set();
    while (walk.nextNode()) {
      const e = walk.currentNode.parentElement;
      if (walk.currentNode.data.trim() && shown(e) && !e.closest(`script, style, title, desc, ${THEME}, ${HIDDEN}`)) found.add(e);
    }
    // MathJax draws its letters by rules of the stylesheet: the node holds no text.
    for (const e of article().querySelectorAll("mjx-math")) if (shown(e)) found.add(e);
    return [...found];
  }

  async function faint() {
    const lines = [];
    const ground_of = new Map(); // of text outside drawings: the same for all in one box
    for (const e of texts()) {
      const drawn = e instanceof SVGElement;
      if (drawn) e.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
      const box = e.getBoundingClientRect();
      if (!box.width) continue;
      if (drawn || !ground_of.has(e)) ground_of.set(e, await ground(e, box.x + box.width / 2, box.y + box.height / 2));
      const style = getComputedStyle(e);
      const ink = colour(drawn ? style.fill : style.color);
      ink.a *= opacity(e) * (drawn ? Number(style.fillOpacity) : 1);
      const scale = drawn ? Math.sqrt(Math.abs(e.getScreenCTM().a ** 2 + e.getScreenCTM().b ** 2)) : 1;
      const size = parseFloat(style.fontSize) * scale;
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      const under = ground_of.get(e);
      const ratio = contrast(mix(ink, under), under);
      if (ratio < (large ? 3 : 4.5)) lines.push(`${name(e)} has a contrast of ${ratio.toFixed(1)}`);
      if (drawn && size < 8) lines.push(`${name(e)} is ${size.toFixed(1)} px high`);
    }
    return lines;
  }

  return { unfold, overflowing, unnamed, faint };
})();
