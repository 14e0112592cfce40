"use strict";
// Draws one result, or two beside each other that turn together; one that has a photo stands on it as well.

const FIELD = 28; // degrees, of the camera that turns

class Viewer {
  constructor(canvas, arrays) {
    this.canvas = canvas; this.arrays = arrays; this.content = arrays.content; this.cache = new Map();
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.camera = new THREE.PerspectiveCamera(FIELD, 1, 0.01, 50);
    this.controls = new THREE.OrbitControls(this.camera, canvas);
    this.controls.addEventListener("change", () => this.ask());
    this.pinhole = new THREE.PerspectiveCamera();
    this.lamp = new THREE.DirectionalLight("#ffffff", 2.1);
    this.state = { items: [0], mode: "plain", hidden: new Set(["joints"]), through: 0, frame: 0, still: "hand", photo: false };
    new ResizeObserver(() => this.ask()).observe(canvas.parentElement);
  }
  // The scene of an item, made when it is first looked at.
  scene(index) {
    if (!this.cache.has(index)) {
      const item = this.content.items[index], scene = new THREE.Scene(), group = new THREE.Group();
      const parts = item.parts.map((part) => new Part(this.arrays, part, this.content.colours));
      parts.forEach((part) => group.add(part.node));
      const skeleton = item.joints ? new Skeleton(item.joints, this.content.bones, item.occluded) : null;
      if (skeleton) group.add(skeleton.node);
      group.matrixAutoUpdate = false;
      scene.add(group, new THREE.HemisphereLight("#ffffff", "#8d8a86", 1.5));
      this.cache.set(index, { item, scene, group, parts, skeleton, bounds: boundsOf(parts) });
    }
    return this.cache.get(index);
  }
  // Turns an item so that `up` is up and the camera looks `along`, both in the item's own axes.
  look(name) {
    const item = this.content.items[this.state.items[0]];
    const view = item.views.find((one) => one.name === name) || item.views[0];
    this.view = view.name;
    const radius = Math.max(...this.state.items.map((index) => this.scene(index).bounds.radius));
    const turned = new THREE.Vector3(...view.along).applyMatrix4(rotationFor(view)).normalize();
    const box = this.canvas.parentElement.getBoundingClientRect();
    const narrow = Math.max(1, (this.panes().length * box.height) / Math.max(box.width, 1));
    this.camera.position.copy(turned.multiplyScalar((-0.92 * narrow * radius) / Math.sin((FIELD * Math.PI) / 360)));
    this.camera.near = radius / 50; this.camera.far = radius * 60;
    this.controls.target.set(0, 0, 0);
    this.controls.update();
    this.ask();
  }
  // Where the item's own axes go: the chosen view's, about the middle; or the camera's of its photo.
  place(shown, photo) {
    const { item, group, bounds } = shown, { frame, still } = this.state;
    const camera = item.camera ? new THREE.Matrix4().fromArray(item.camera[Math.min(frame, item.camera.length - 1)]).transpose() : null;
    if (camera && photo) { group.matrix.makeScale(1, -1, -1).multiply(camera); return; }
    const view = item.views.find((one) => one.name === this.view) || item.views[0];
    const rotation = rotationFor(view), own = new THREE.Matrix4();
    let middle = bounds.middle.clone();
    if (item.camera && item.camera.length > 1 && still !== "hand") {
      const first = (k) => still === "camera" ? new THREE.Matrix4().fromArray(item.camera[k]).transpose()
        : new THREE.Matrix4().fromArray(item.parts.find((part) => part.places).places[k]).transpose().invert();
      // Seen in the first frame as if the hand were still; from there on it moves as the clip says.
      own.copy(first(0)).invert().multiply(first(Math.min(frame, item.camera.length - 1)));
    }
    group.matrix.copy(rotation).multiply(new THREE.Matrix4().makeTranslation(-middle.x, -middle.y, -middle.z)).multiply(own);
  }
  dress(shown, photo) {
    const { mode, hidden, through, frame } = this.state;
    shown.parts.forEach((part) => {
      part.shape(frame);
      const key = mode + ":" + (part.frames > 1 || mode !== "plain" ? frame : 0);
      if (part.dressed !== key) { part.colour(mode, frame); part.dressed = key; }
      part.node.visible = !hidden.has(part.role);
      part.opacity(photo ? 1 - through : part.role === "object" ? 1 - 0.9 * through : 1);
    });
    if (shown.skeleton) { shown.skeleton.shape(frame); shown.skeleton.node.visible = !hidden.has("joints"); }
    this.place(shown, photo);
  }
  ask() { if (!this.asked) { this.asked = true; requestAnimationFrame(() => { this.asked = false; this.draw(); }); } }
  draw() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const size = `${box.width}x${box.height}`;
    if (this.size !== size) { this.renderer.setSize(box.width, box.height, false); this.size = size; }
    this.renderer.setScissorTest(true);
    this.renderer.setClearColor("#eef0f2");
    const panes = this.panes(), wide = box.width / panes.length;
    panes.forEach(([index, photo], k) => this.pane(this.scene(index), photo, k * wide, 0, wide, box.height));
    this.renderer.setScissorTest(false);
  }
  // What is beside each other: which item, and whether on its photo.
  panes() {
    const { items, photo } = this.state;
    return items.length === 1 && photo ? [[items[0], true], [items[0], false]] : items.map((index) => [index, photo]);
  }
  pane(shown, onPhoto, left, bottom, width, height) {
    this.dress(shown, onPhoto);
    const photo = onPhoto ? this.photoOf(shown) : null;
    this.renderer.setScissor(left, bottom, width, height); this.renderer.setViewport(left, bottom, width, height);
    this.renderer.clear();
    let camera = this.camera;
    shown.scene.background = null;
    if (photo) {
      const side = Math.min(width, height), x = left + (width - side) / 2, y = bottom + (height - side) / 2;
      this.renderer.setScissor(x, y, side, side); this.renderer.setViewport(x, y, side, side);
      shown.scene.background = photo.texture || null;
      camera = this.pinhole;
      projectionOf(camera, photo.intrinsics, photo.size);
    } else { this.camera.aspect = width / height; this.camera.updateProjectionMatrix(); }
    this.lamp.position.copy(camera.position).add(new THREE.Vector3(0.3, 0.6, 0.4).multiplyScalar(camera.position.length() || 1));
    this.lamp.target.position.set(0, 0, photo ? -1 : 0);
    shown.scene.add(this.lamp, this.lamp.target);
    this.renderer.render(shown.scene, camera);
  }
  photoOf(shown) {
    const photos = shown.item.photos;
    if (!photos) return null;
    const photo = photos[Math.min(this.state.frame, photos.length - 1)];
    if (photo.chunk && !photo.asked) {
      photo.asked = true;
      this.arrays.picture(photo.chunk).then((bitmap) => {
        photo.texture = new THREE.Texture(bitmap);
        Object.assign(photo.texture, { colorSpace: THREE.SRGBColorSpace, flipY: false, generateMipmaps: false, minFilter: THREE.LinearFilter, needsUpdate: true });
        this.ask();
      });
    }
    return photo;
  }
  // A small picture of an item, into another canvas; returns false while its photo is not unpacked yet. It is drawn in a
  // corner of the large one, which has to be drawn again afterwards.
  thumbnail(index, target) {
    const kept = this.state, camera = this.camera, view = this.view, width = 184, height = 144;
    const photo = Boolean(this.content.photoFirst);
    const mode = this.content.modes.includes("contact") ? "contact" : "plain";
    this.state = { ...kept, items: [index], mode, hidden: new Set(["joints", "first"]), through: 0, frame: 0 };
    const shown = this.scene(index), one = shown.item.views[0], { radius } = shown.bounds;
    this.view = one.name;
    this.camera = new THREE.PerspectiveCamera(FIELD, width / height, radius / 50, radius * 60);
    const toward = new THREE.Vector3(...one.along).applyMatrix4(rotationFor(one)).normalize();
    this.camera.position.copy(toward.multiplyScalar((-0.82 * radius) / Math.sin((FIELD * Math.PI) / 360)));
    this.camera.lookAt(0, 0, 0);
    this.renderer.setScissorTest(true);
    this.renderer.setClearColor("#eef0f2");
    this.pane(shown, photo, 0, 0, width, height);
    const whole = this.canvas.height, scale = this.renderer.getPixelRatio();
    target.width = width; target.height = height;
    target.getContext("2d").drawImage(this.canvas, 0, whole - height * scale, width * scale, height * scale, 0, 0, width, height);
    this.camera = camera; this.view = view; this.state = kept;
    const photos = shown.item.photos;
    return !(photo && photos && photos[0].chunk && !photos[0].texture);
  }
}

function rotationFor(view) {
  const up = new THREE.Vector3(...view.up).normalize(), back = new THREE.Vector3(...view.along).multiplyScalar(-1);
  back.addScaledVector(up, -back.dot(up)).normalize();
  const right = new THREE.Vector3().crossVectors(up, back);
  return new THREE.Matrix4().makeBasis(right, up, back).transpose();
}
function boundsOf(parts) {
  const box = new THREE.Box3();
  parts.forEach((part) => {
    const mine = new THREE.Box3().setFromBufferAttribute(part.node.geometry.attributes.position);
    box.union(mine.applyMatrix4(part.node.matrix));
  });
  const middle = box.getCenter(new THREE.Vector3());
  return { middle, radius: Math.max(box.max.distanceTo(middle), 1e-4) };
}
function projectionOf(camera, [fx, fy, cx, cy], size) {
  const near = 0.01, far = 20;
  camera.position.set(0, 0, 0); camera.quaternion.identity(); camera.updateMatrixWorld();
  camera.projectionMatrix.set((2 * fx) / size, 0, 1 - (2 * cx) / size, 0, 0, (2 * fy) / size, (2 * cy) / size - 1, 0,
    0, 0, -(far + near) / (far - near), (-2 * far * near) / (far - near), 0, 0, -1, 0);
  camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
}
