#!/bin/sh
# Makes hoprior/assets/report/three.min.js: the part of three.js that the page of results uses, as one script.
# Usage, at the top of a clone, with npm: sh tools/bundle_three.sh
set -eu
here=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --no-audit --no-fund three@0.187.0 esbuild@0.28.2
cat >entry.js <<'END'
export {Scene, PerspectiveCamera, WebGLRenderer, BufferGeometry, BufferAttribute, Mesh, MeshStandardMaterial, MeshBasicMaterial, LineBasicMaterial, LineSegments, Points, PointsMaterial, SphereGeometry, InstancedMesh, Group, Matrix4, Vector3, Quaternion, Color, Box3, AmbientLight, HemisphereLight, DirectionalLight, Texture, LinearFilter, DoubleSide, SRGBColorSpace, NoToneMapping, AxesHelper} from "three";
export {OrbitControls} from "three/addons/controls/OrbitControls.js";
END
npx esbuild entry.js --bundle --minify --format=iife --global-name=THREE --legal-comments=inline --target=es2020 \
    --outfile="$here/hoprior/assets/report/three.min.js"
cp node_modules/three/LICENSE "$here/hoprior/assets/LICENSE-three-MIT.txt"
