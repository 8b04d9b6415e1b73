// Contrast (WCAG 2.2) of every text that can be seen with what is painted behind it, and of the shapes that plots are read by.
() => {
  const numbers = (colour) => {
    const found = colour.match(/[\d.]+/g).map(Number);
    return { rgb: found.slice(0, 3), alpha: found.length > 3 ? found[3] : 1 };
  };
  const over = (top, alpha, below) => below.map((value, at) => alpha * top[at] + (1 - alpha) * value);
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((value) => value / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(numbers(getComputedStyle(at).backgroundColor));
    return layers.reduce((below, layer) => over(layer.rgb, layer.alpha, below), [255, 255, 255]);
  };
  const cellBehind = (text) => {
    const cell = text.previousElementSibling;
    const page = behind(text.closest("svg"));
    if (!cell || !cell.classList.contains("cell")) return page;
    return over(numbers(getComputedStyle(cell).fill).rgb, Number(cell.getAttribute("fill-opacity")), page);
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const box = element.getBoundingClientRect();
    if (!walker.currentNode.data.trim() || element.tagName === "title" || !box.width) continue;
    const style = getComputedStyle(element);
    const drawn = element instanceof SVGElement;
    const size = parseFloat(style.fontSize);
    texts.push({
      text: walker.currentNode.data.trim().slice(0, 40),
      large: size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700),
      contrast: contrast(numbers(drawn ? style.fill : style.color).rgb, drawn ? cellBehind(element) : behind(element)),
    });
  }
  const shapes = [];
  const shape = (selector, property) => {
    for (const element of document.querySelectorAll(selector)) {
      const colour = numbers(getComputedStyle(element)[property]).rgb;
      shapes.push({ selector, contrast: contrast(colour, behind(element.closest("svg"))) });
    }
  };
  shape(".bar", "fill");
  shape(".whisker", "stroke");
  shape(".series", "stroke");
  shape(".point", "fill");
  shape(".diagonal", "stroke");
  shape(".range", "stroke");
  shape(".dot", "fill");
  const [bar, whisker] = [".bar", ".whisker"].map((selector) => document.querySelector(selector));
  if (bar && whisker) {
    const colours = [numbers(getComputedStyle(bar).fill).rgb, numbers(getComputedStyle(whisker).stroke).rgb];
    shapes.push({ selector: "whisker on its bar", contrast: contrast(...colours) });
  }
  return { texts, shapes };
}
