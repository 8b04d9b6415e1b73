"use strict";

/* Many points on a canvas: every frame is written pixel by pixel into one buffer, so that 20,000 points cost a few milliseconds
   wherever there is no graphics card. */

class Cloud {
  /* points: {across, up, large} columns of n; `large` says which ones are drawn larger and on top (they come last). */
  constructor(canvas, points) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.points = points;
    this.colours = new Uint32Array(points.across.length);
    this.hidden = new Uint8Array(points.across.length);
    this.paper = 0xffffffff;
    this.centre = [0, 0];
    this.scale = [1, 1];
    this.image = null;
  }

  /* Takes the size of its box on the page, in the screen's own pixels. */
  resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (this.image && this.image.width === width && this.image.height === height && this.ratio === ratio) return;
    this.ratio = ratio;
    this.canvas.width = width;
    this.canvas.height = height;
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    const size = this.points.across.length < 4000 ? 1.5 : 1;
    this.small = Cloud.disc(1.6 * size * ratio, width);
    this.large = Cloud.disc(2.6 * size * ratio, width);
    this.ring = Cloud.disc((2.6 * size + 1) * ratio, width);
  }

  /* Offsets of a disc's pixels from its middle, in a row of so many. */
  static disc(radius, width) {
    const offsets = [], reach = Math.floor(radius);
    for (let y = -reach; y <= reach; y++)
      for (let x = -reach; x <= reach; x++)
        if (x * x + y * y <= radius * radius) offsets.push(y * width + x);
    return { reach, offsets: Int32Array.from(offsets) };
  }

  /* Shows all points, with a little room around them. */
  fit() {
    const [left, right] = Cloud.extent(this.points.across), [bottom, top] = Cloud.extent(this.points.up);
    this.centre = [(left + right) / 2, (bottom + top) / 2];
    this.scale = [
      0.92 * this.canvas.clientWidth / (right - left || 1),
      0.92 * this.canvas.clientHeight / (top - bottom || 1),
    ];
  }

  /* From all but a thousandth at either end: a few points far out would leave no room for the others. */
  static extent(values) {
    const sorted = Float32Array.from(values).sort(), tail = Math.floor(sorted.length / 1000);
    if (!sorted.length) return [0, 1];
    const low = sorted[tail], high = sorted[sorted.length - 1 - tail], more = 0.04 * (high - low) || 0.5;
    return [low - more, high + more];
  }

  /* Where a point of the plane stands on the page, and back. */
  toPage(across, up) {
    return [
      this.canvas.clientWidth / 2 + (across - this.centre[0]) * this.scale[0],
      this.canvas.clientHeight / 2 - (up - this.centre[1]) * this.scale[1],
    ];
  }

  toPlane(x, y) {
    return [
      this.centre[0] + (x - this.canvas.clientWidth / 2) / this.scale[0],
      this.centre[1] - (y - this.canvas.clientHeight / 2) / this.scale[1],
    ];
  }

  pan(dx, dy) {
    this.centre = [this.centre[0] - dx / this.scale[0], this.centre[1] + dy / this.scale[1]];
  }

  /* The point of the plane below (x, y) stays there. */
  zoom(factor, x, y) {
    const [across, up] = this.toPlane(x, y);
    this.scale = this.scale.map((scale) => Math.min(Math.max(scale * factor, 1e-9), 1e9));
    const [left, top] = this.toPage(across, up);
    this.pan(x - left, y - top);
  }

  draw() {
    const { across, up } = this.points, { width, height } = this.image, { pixels, colours, hidden, ratio } = this;
    pixels.fill(this.paper);
    const ax = this.scale[0] * ratio, ay = this.scale[1] * ratio;
    const bx = width / 2 - this.centre[0] * ax, by = height / 2 + this.centre[1] * ay;
    const last = across.length, first = this.points.large;
    for (let i = 0; i < last; i++) {
      if (hidden[i]) continue;
      const x = Math.round(bx + across[i] * ax), y = Math.round(by - up[i] * ay);
      const large = i >= first, edge = (large ? this.ring : this.small).reach;
      if (x < edge || y < edge || x >= width - edge || y >= height - edge) continue;
      const at = y * width + x;
      if (large) Cloud.stamp(pixels, this.ring.offsets, at, this.paper);
      Cloud.stamp(pixels, (large ? this.large : this.small).offsets, at, colours[i]);
    }
    this.context.putImageData(this.image, 0, 0);
  }

  static stamp(pixels, offsets, at, colour) {
    for (let k = 0; k < offsets.length; k++) pixels[at + offsets[k]] = colour;
  }

  /* The shown point nearest to (x, y) on the page, -1 where none is near. */
  nearest(x, y, reach) {
    const [across, up] = this.toPlane(x, y), [sx, sy] = this.scale;
    let best = reach * reach, found = -1;
    for (let i = this.hidden.length - 1; i >= 0; i--) {
      if (this.hidden[i]) continue;
      const dx = (this.points.across[i] - across) * sx, dy = (this.points.up[i] - up) * sy, far = dx * dx + dy * dy;
      if (far < best) { best = far; found = i; }
    }
    return found;
  }

  /* How many shown points a box of the plane holds. */
  count(left, right, bottom, top) {
    let found = 0;
    for (let i = 0; i < this.hidden.length; i++)
      found += !this.hidden[i] && this.points.across[i] >= left && this.points.across[i] <= right
        && this.points.up[i] >= bottom && this.points.up[i] <= top;
    return found;
  }
}
