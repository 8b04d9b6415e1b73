"use strict";

/* The map page: colours, legend, pointer and keyboard over a Cloud. What a box holds is listed by the server. */

(async () => {
  const figure = document.getElementById("map");
  if (!figure) return;
  const find = (selector) => figure.querySelector(selector);
  const tools = find(".map-tools"), box_frame = find(".map-frame"), marks = find(".map-marks"), card = find(".map-card");
  const legend = find(".map-legend"), state = document.getElementById("map-state"), ranges = document.getElementById("ranges");
  const COLOURS = 10, STEP = 60, MOST_CARDS = 300;
  for (const hidden of [tools, box_frame, legend]) hidden.hidden = false;
  state.textContent = "Loading points …";

  const map = await load(figure.dataset.points);
  if (!map) return;
  const colouring = map.colourings.find((each) => each.name === figure.dataset.by) || map.colourings[0];
  const spread = figure.dataset.view !== "distance";
  const points = { across: Float32Array.from(map.across), up: Float32Array.from(spread ? map.up : map.distance), large: map.reference };
  const cloud = new Cloud(find(".map-points"), points);
  const hidden = new Set(figure.dataset.hide.split(",").filter(Boolean).map(Number));
  let box = boxOf(ranges), tool = "select", drag = null, drawn = 0, dirty = false;

  async function load(address) {
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`${answer.status}`);
      return await answer.json();
    } catch (error) {
      state.textContent = `The points could not be loaded (${error.message}); load the page again.`;
      return null;
    }
  }

  /* --- colours --- */

  function ranked() {
    const shares = colouring.values.map(() => [0, 0]), totals = [map.reference || 1, map.ids.length - map.reference || 1];
    colouring.of.forEach((value, i) => { const side = i < map.reference ? 0 : 1; shares[value][side] += 1 / totals[side]; });
    const order = colouring.values.map((_, value) => value);
    if (!["side", "novelty"].includes(colouring.name))
      order.sort((a, b) => Math.abs(shares[b][1] - shares[b][0]) - Math.abs(shares[a][1] - shares[a][0]));
    return order.filter((value) => shares[value][0] + shares[value][1] > 0).map((value) => ({ value, shares: shares[value] }));
  }

  /* The class of each value's colour: two of their own for the sides, a scale for novelty, the rest by how much changed. */
  const order = ranked(), names = new Map(order.map(({ value }, place) => [value, nameOf(value, place)]));
  function nameOf(value, place) {
    if (colouring.name === "side") return value === 0 ? "reference" : "recent";
    if (colouring.name === "novelty") return `n${value}`;
    return place < COLOURS ? `c${place}` : "rest";
  }

  function channels(name) {
    const style = getComputedStyle(figure).getPropertyValue(`--map-${name}`).trim();
    return [1, 3, 5].map((at) => parseInt(style.slice(at, at + 2), 16));
  }

  const packed = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;

  function colour() {
    const paper = channels("paper"), strong = new Map(), faint = new Map();
    for (const [value, name] of names) {
      const own = channels(name);
      strong.set(value, packed(own));
      faint.set(value, packed(colouring.name === "side" ? own : own.map((part, i) => Math.round(0.55 * part + 0.45 * paper[i]))));
    }
    cloud.paper = packed(paper);
    colouring.of.forEach((value, i) => {
      cloud.colours[i] = (i < map.reference ? faint : strong).get(value);
      cloud.hidden[i] = hidden.has(value) ? 1 : 0;
    });
    redraw();
  }

  function showLegend() {
    legend.replaceChildren(...order.map(({ value, shares }) => {
      const item = document.createElement("li"), button = document.createElement("button"), swatch = document.createElement("span");
      button.type = "button";
      button.dataset.value = value;
      button.setAttribute("aria-pressed", String(!hidden.has(value)));
      swatch.className = `swatch ${names.get(value)}`;
      const [before, after] = shares.map((share) => `${(100 * share).toFixed(1)} %`);
      const said = colouring.name === "side" ? "" : ` ${before} → ${after}`;
      const label = document.createElement("bdi");
      label.textContent = colouring.values[value].slice(0, 60);
      button.append(swatch, label, said);
      item.append(button);
      return item;
    }));
  }

  /* --- drawing --- */

  function redraw() {
    if (dirty) return;
    dirty = true;
    requestAnimationFrame(() => {
      dirty = false;
      cloud.resize();
      cloud.draw();
      drawMarks();
      figure.dataset.drawn = String(++drawn);
    });
  }

  function drawMarks() {
    const ratio = cloud.ratio, context = marks.getContext("2d"), { clientWidth: width, clientHeight: height } = marks;
    marks.width = Math.round(width * ratio);
    marks.height = Math.round(height * ratio);
    context.scale(ratio, ratio);
    const ink = getComputedStyle(figure).getPropertyValue("--map-ink").trim();
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = context.strokeStyle = ink;
    axis(context, width, 0, (at) => [cloud.toPage(at, 0)[0], height - 6]);
    axis(context, height, 1, (at) => [6, cloud.toPage(0, at)[1]]);
    if (!box) return;
    const [left, top] = cloud.toPage(box.left, box.top), [right, bottom] = cloud.toPage(box.right, box.bottom);
    context.lineWidth = 2;
    context.setLineDash([6, 4]);
    context.strokeRect(left, top, right - left, bottom - top);
  }

  /* About six round numbers along an axis. */
  function axis(context, length, which, place) {
    const span = length / cloud.scale[which], low = cloud.centre[which] - span / 2;
    const unit = 10 ** Math.floor(Math.log10(span / 6)), step = [1, 2, 5, 10].map((f) => f * unit).find((each) => span / each <= 7);
    for (let at = Math.ceil(low / step) * step; at < low + span; at += step) {
      const [x, y] = place(at), digits = Math.max(0, -Math.floor(Math.log10(step)));
      if (x > 24 || which) context.fillText((Math.abs(at) < step / 2 ? 0 : at).toFixed(digits), which ? x : x - 8, which ? y + 4 : y);
    }
  }

  function fit() { cloud.resize(); cloud.fit(); redraw(); }

  /* --- the box --- */

  function boxOf(form) {
    const read = (name) => parseFloat(form.elements[name].value);
    const found = { left: read("left"), right: read("right"), bottom: read("bottom"), top: read("top") };
    return Object.values(found).every(Number.isFinite) ? found : null;
  }

  function setBox(next) {
    box = next;
    for (const name of ["left", "right", "bottom", "top"]) ranges.elements[name].value = box ? box[name].toPrecision(4) : "";
    if (box) box = boxOf(ranges);
    state.textContent = box ? `${cloud.count(box.left, box.right, box.bottom, box.top).toLocaleString("en")} points in the box` : "";
    redraw();
  }

  function middleBox() {
    const [left, top] = cloud.toPlane(0.35 * marks.clientWidth, 0.35 * marks.clientHeight);
    const [right, bottom] = cloud.toPlane(0.65 * marks.clientWidth, 0.65 * marks.clientHeight);
    return { left, right, bottom, top };
  }

  function moved(dx, dy) {
    const x = dx / cloud.scale[0], y = dy / cloud.scale[1];
    return { left: box.left + x, right: box.right + x, bottom: box.bottom - y, top: box.top - y };
  }

  function grown(factor) {
    const wide = (box.right - box.left) * (factor - 1) / 2, high = (box.top - box.bottom) * (factor - 1) / 2;
    return { left: box.left - wide, right: box.right + wide, bottom: box.bottom - high, top: box.top + high };
  }

  async function list(address) {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById("selection");
    const selection = document.getElementById("selection");
    if (!answer.ok || !found) { state.textContent = "The samples could not be listed; load the page again."; return; }
    selection.replaceChildren(...found.childNodes);
    history.replaceState(null, "", address);
    selection.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  function listBox() {
    if (!box) return;
    const asked = new URLSearchParams(new FormData(ranges));
    asked.delete("hide");
    for (const value of hidden) asked.append("hide", value);
    list(`${location.pathname}?${asked}`);
  }

  /* --- the sample that is pointed at --- */

  const cards = new Map();
  let wanted = -1, waiting = 0;

  function point(x, y) {
    const at = cloud.nearest(x, y, 9);
    if (at === wanted) return;
    wanted = at;
    clearTimeout(waiting);
    if (at < 0) { card.hidden = true; return; }
    waiting = setTimeout(() => showCard(at, x, y), 90);
  }

  async function showCard(at, x, y) {
    const id = map.ids[at];
    if (!cards.has(id)) {
      const answer = await fetch(`${figure.dataset.sample}?${new URLSearchParams({ id })}`, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("card");
      if (cards.size >= MOST_CARDS) cards.delete(cards.keys().next().value);
      cards.set(id, found ? [...found.childNodes] : [document.createTextNode("This sample is not kept any more.")]);
    }
    if (wanted !== at) return;
    const colour = document.createElement("p");
    colour.className = "card-colour";
    colour.textContent = `${colouring.values[colouring.of[at]]} · novelty ${(100 * map.novelty[at]).toFixed(1)} %`;
    card.replaceChildren(...cards.get(id).map((node) => node.cloneNode(true)), colour);
    card.hidden = false;
    const right = x > marks.clientWidth / 2, below = y < marks.clientHeight / 2;
    card.style.left = right ? "auto" : `${x + 14}px`;
    card.style.right = right ? `${marks.clientWidth - x + 14}px` : "auto";
    card.style.top = below ? `${y + 10}px` : "auto";
    card.style.bottom = below ? "auto" : `${marks.clientHeight - y + 10}px`;
  }

  function noCard() { wanted = -1; clearTimeout(waiting); card.hidden = true; }

  /* --- pointer --- */

  const place = (event) => {
    const frame = marks.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };

  marks.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    const [x, y] = place(event);
    drag = { x, y, pans: tool === "pan" || event.button === 1 || event.shiftKey };
    marks.setPointerCapture(event.pointerId);
    noCard();
  });
  marks.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (!drag) { point(x, y); return; }
    if (drag.pans) {
      cloud.pan(x - drag.x, y - drag.y);
      drag.x = x;
      drag.y = y;
      redraw();
      return;
    }
    const [one, other] = [cloud.toPlane(drag.x, drag.y), cloud.toPlane(x, y)];
    if (Math.abs(x - drag.x) + Math.abs(y - drag.y) < 4) return;
    drag.boxes = true;
    setBox({
      left: Math.min(one[0], other[0]), right: Math.max(one[0], other[0]),
      bottom: Math.min(one[1], other[1]), top: Math.max(one[1], other[1]),
    });
  });
  marks.addEventListener("pointerup", () => {
    const boxes = drag && drag.boxes;
    drag = null;
    if (boxes) listBox();
  });
  marks.addEventListener("pointercancel", () => { drag = null; });
  marks.addEventListener("pointerleave", noCard);
  marks.addEventListener("wheel", (event) => {
    if (document.activeElement !== marks && !event.ctrlKey) return;
    event.preventDefault();
    const [x, y] = place(event);
    cloud.zoom(Math.exp(-Math.sign(event.deltaY) * 0.18), x, y);
    redraw();
  }, { passive: false });

  /* --- keyboard, buttons, legend --- */

  const middle = () => [marks.clientWidth / 2, marks.clientHeight / 2];
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const keys = {
    "+": () => { cloud.zoom(1.25, ...middle()); redraw(); },
    "=": () => keys["+"](),
    "-": () => { cloud.zoom(0.8, ...middle()); redraw(); },
    "0": fit,
    b: () => setBox(middleBox()),
    B: () => setBox(middleBox()),
    "[": () => box && setBox(grown(0.8)),
    "]": () => box && setBox(grown(1.25)),
    Enter: listBox,
    Escape: () => { noCard(); setBox(null); },
  };

  marks.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = arrows[event.key];
    if (arrow) {
      const [dx, dy] = arrow.map((each) => each * (event.shiftKey ? STEP / 4 : STEP));
      if (event.shiftKey && box) setBox(moved(dx, dy));
      else { cloud.pan(-dx, -dy); redraw(); }
    } else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  });

  tools.addEventListener("click", (event) => {
    const chosen = event.target.dataset.tool;
    if (chosen === "in") keys["+"]();
    else if (chosen === "out") keys["-"]();
    else if (chosen === "fit") fit();
    else if (chosen) {
      tool = chosen;
      marks.classList.toggle("pans", tool === "pan");
      for (const each of tools.querySelectorAll("[aria-pressed]")) each.setAttribute("aria-pressed", String(each.dataset.tool === tool));
    }
  });

  legend.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const value = Number(button.dataset.value), hides = button.getAttribute("aria-pressed") === "true";
    hides ? hidden.add(value) : hidden.delete(value);
    button.setAttribute("aria-pressed", String(!hides));
    colour();
    if (box) setBox(box);
  });

  document.getElementById("selection").addEventListener("click", (event) => {
    const link = event.target.closest(".pager a");
    if (!link) return;
    event.preventDefault();
    list(link.href);
  });
  ranges.addEventListener("submit", (event) => { event.preventDefault(); setBox(boxOf(ranges)); listBox(); });
  document.getElementById("controls").addEventListener("change", (event) => event.currentTarget.requestSubmit());

  /* --- begins --- */

  showLegend();
  cloud.resize();
  cloud.fit();
  colour();
  state.textContent = `${map.ids.length.toLocaleString("en")} points`;
  new ResizeObserver(() => redraw()).observe(marks);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
  figure.dataset.ready = "yes";
})();
