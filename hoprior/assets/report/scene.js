"use strict";
// From the page's arrays to three.js meshes, and the colours of their vertices.

const FAR = 127; // of a channel: nothing to say about this vertex
const STOPS = {
  contact: [[0, "#d8431f"], [0.4, "#f08a3c"], [1, null]],
  depth: [[0, "#f6cf4d"], [0.35, "#e0662c"], [1, "#5b1a6b"]],
  change: [[0, "#e0e0e6"], [0.5, "#facc59"], [1, "#db3326"]],
  seen: [[0, "#c9a0c8"], [1, "#3d8f6a"]],
};

class Arrays {
  static async read(content) {
    const text = document.getElementById("arrays").textContent.trim();
    const letters = atob(text), packed = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i++) packed[i] = letters.charCodeAt(i);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Arrays(await new Response(stream).arrayBuffer(), content);
  }
  constructor(buffer, content) { this.buffer = buffer; this.content = content; }
  bytes(chunk) { return new Uint8Array(this.buffer, chunk[0], chunk[1]); }
  signed(chunk) { return new Int8Array(this.buffer, chunk[0], chunk[1]); }
  words(chunk) { return new Uint16Array(this.buffer, chunk[0], chunk[1] / 2); }
  longs(chunk) { return new Uint32Array(this.buffer, chunk[0], chunk[1] / 4); }
  // Vertices of frame k of a mesh, metres.
  fill(mesh, k, into) {
    const packed = this.words(mesh.verts), start = k * mesh.count * 3;
    for (let i = 0; i < mesh.count * 3; i++) into[i] = mesh.low[i % 3] + mesh.step[i % 3] * packed[start + i];
  }
  async picture(chunk) {
    return createImageBitmap(new Blob([this.bytes(chunk)], { type: "image/jpeg" }), { imageOrientation: "flipY" });
  }
}

// What a channel's number becomes: 256 colours, linear, by mode and the colour of the part itself.
const tables = new Map();
function colourTable(mode, base, unit) {
  const key = mode + base + unit;
  if (!tables.has(key)) {
    const table = new Float32Array(256 * 3), own = new THREE.Color(base);
    for (let code = -128; code < 128; code++) {
      const colour = colourOf(mode, code * unit, own, code === FAR);
      colour.toArray(table, (code + 128) * 3);
    }
    tables.set(key, table);
  }
  return tables.get(key);
}
function colourOf(mode, value, own, far) {
  if (far) return own;
  if (mode === "contact") return value > 5 ? own : along(STOPS.contact, Math.max(value, 0) / 5, own);
  if (mode === "depth") return value > 0 ? own : along(STOPS.depth, Math.min(-value / 10, 1), own);
  if (mode === "change") return along(STOPS.change, Math.min(value / 20, 1), own);
  return along(STOPS.seen, value, own);
}
function along(stops, at, own) {
  const next = Math.max(1, stops.findIndex(([stop]) => at <= stop));
  const [[low, first], [high, second]] = [stops[next - 1], stops[next]];
  const share = (at - low) / (high - low);
  const colour = (text) => (text ? new THREE.Color(text) : own.clone());
  return colour(first).lerp(colour(second), Math.min(Math.max(share, 0), 1));
}

// One part of a result: a mesh that can be coloured and moved through the frames.
class Part {
  constructor(arrays, described, colours) {
    this.arrays = arrays; this.role = described.role; this.channels = described.channels || {};
    this.places = described.places; this.base = colours[described.role] || colours.object;
    this.mesh = arrays.content.meshes[described.mesh];
    const geometry = new THREE.BufferGeometry(), count = this.mesh.count;
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(count * 3), 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(new Float32Array(count * 3), 3));
    geometry.setIndex(new THREE.BufferAttribute(arrays.longs(this.mesh.faces), 1));
    const flat = this.role === "object";
    this.material = new THREE.MeshStandardMaterial({ vertexColors: true, roughness: 0.75, metalness: 0, flatShading: flat, side: THREE.DoubleSide });
    this.node = new THREE.Mesh(geometry, this.material);
    this.node.matrixAutoUpdate = false;
    this.shape(0);
  }
  get frames() { return this.mesh.frames || 1; }
  shape(k) {
    const { geometry } = this.node;
    if (this.places) this.node.matrix.fromArray(this.places[k]).transpose();
    if (this.frames === 1 && this.drawn) return;
    this.arrays.fill(this.mesh, Math.min(k, this.frames - 1), geometry.attributes.position.array);
    geometry.attributes.position.needsUpdate = true;
    geometry.computeVertexNormals();
    geometry.computeBoundingSphere();
    this.drawn = true;
  }
  colour(mode, k) {
    const colours = this.node.geometry.attributes.color, name = { contact: "gap", depth: "gap" }[mode] || mode;
    const channel = this.channels[name], own = new THREE.Color(this.base);
    if (channel) {
      const codes = this.arrays.signed(channel.chunk), start = codes.length > this.mesh.count ? k * this.mesh.count : 0;
      const table = colourTable(mode, this.base, channel.unit);
      for (let i = 0; i < this.mesh.count; i++) {
        const from = (codes[start + i] + 128) * 3;
        colours.array[3 * i] = table[from]; colours.array[3 * i + 1] = table[from + 1]; colours.array[3 * i + 2] = table[from + 2];
      }
    } else for (let i = 0; i < this.mesh.count; i++) own.toArray(colours.array, 3 * i);
    colours.needsUpdate = true;
  }
  opacity(share) { this.material.transparent = share < 1; this.material.opacity = share; this.material.depthWrite = share > 0.6; this.material.needsUpdate = true; }
}

// The joints and bones of a hand, drawn over everything; joints that the camera does not see are red.
class Skeleton {
  constructor(joints, bones, occluded) {
    this.joints = joints; this.bones = bones; this.node = new THREE.Group();
    const inks = joints[0].map((_, j) => new THREE.Color(occluded && occluded[j] ? "#d63031" : "#14508c").toArray());
    const ink = { depthTest: false, transparent: true };
    this.lines = new THREE.LineSegments(new THREE.BufferGeometry(), new THREE.LineBasicMaterial({ color: "#14508c", ...ink }));
    this.dots = new THREE.Points(new THREE.BufferGeometry(), new THREE.PointsMaterial({ vertexColors: true, size: 6, sizeAttenuation: false, ...ink }));
    this.dots.geometry.setAttribute("color", new THREE.BufferAttribute(new Float32Array(inks.flat()), 3));
    this.lines.renderOrder = this.dots.renderOrder = 9;
    this.node.add(this.lines, this.dots);
    this.shape(0);
  }
  shape(k) {
    const places = this.joints[Math.min(k, this.joints.length - 1)];
    this.dots.geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(places.flat()), 3));
    this.lines.geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(this.bones.flatMap(([a, b]) => [...places[a], ...places[b]])), 3));
  }
}
