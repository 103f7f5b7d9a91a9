// What is wider than the page scrolls in its own box. Such a box can take focus, has a name, and
// carries the classes by which the stylesheet fades the side where there is more.
const BOXES =
  ".sc-scroll, .cell_output > .output, .pst-scrollable-table-container, " +
  "div.math mjx-container, main pre";

function kind(box) {
  if (box.matches("pre")) return "Code";
  return box.matches("mjx-container") ? "Equation" : "Table";
}

function look(box) {
  const room = box.scrollWidth - box.clientWidth;
  box.classList.toggle("sc-more-left", box.scrollLeft > 1);
  box.classList.toggle("sc-more-right", box.scrollLeft < room - 1);
  if (room <= 1) {
    for (const name of ["role", "aria-label", "tabindex"]) box.removeAttribute(name);
    return;
  }
  const caption = box.closest("figure")?.querySelector("figcaption")?.textContent.trim();
  box.tabIndex = 0;
  box.setAttribute("role", caption ? "region" : "group");
  box.setAttribute("aria-label", caption?.split(/\.\s/)[0] ?? kind(box));
}

function watch() {
  const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => look(target)));
  for (const box of document.querySelectorAll(BOXES)) {
    sizes.observe(box);
    box.addEventListener("scroll", () => look(box), { passive: true });
    look(box);
  }
}

// Once the equations are set: before, there are no boxes around them.
window.addEventListener("load", () => (window.MathJax?.startup?.promise ?? Promise.resolve()).then(watch));
