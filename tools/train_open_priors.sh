#!/bin/bash
# Trains the priors that ship with MyoDM in their ancestry on nothing but data that anyone may use (docs/how_priors_were_made.md).
#
# usage: [FREE=joints.npz] bash tools/train_open_priors.sh OUT [contrastive] [pose] [text_match] [interaction] [grid]
#
# Without names: contrastive, pose and text_match, some two hours of two cores, of which a half hour makes the data;
# grid asks for the whole synthetic set and takes three hours more. Started again, it goes on where it was stopped. The
# weights are in OUT/weights; `python tools/build_open_priors.py OUT/weights` makes the companion package of them.
#
# FREE: joints of a hand that holds nothing (docs/datasets.md), for the pose prior; left out without.
# NUM, PROCEDURAL, BACKGROUND, MEMBERS, STEPS, MINING make it smaller, for a machine that is busy.
set -euo pipefail
OUT=${1:?"give a folder for data, checkpoints and weights"}
shift
WANTED=${*:-contrastive pose text_match}
NUM=${NUM:-5200} PROCEDURAL=${PROCEDURAL:-52} BACKGROUND=${BACKGROUND:-96}
MEMBERS=${MEMBERS:-2} STEPS=${STEPS:-600} MINING=${MINING:---folds 3 --steps 350 --num 160 --pool 4096}
CONFIGS=$(python -c "from importlib.resources import files; print(files('hoprior') / 'configs')")
TOOLS=$(dirname "$0")
hop() { echo "$(date +%H:%M:%S) hoprior $*"; python -m hoprior "$@"; }

fit() { # NAME, configuration, options ...: fits in OUT/NAME and exports OUT/NAME.safetensors
  local name=$1 config=$2
  shift 2
  [ -f "$OUT/$name.safetensors" ] && return
  [ -f "$OUT/$name/last.ckpt" ] && set -- "$@" --ckpt_path last
  hop fit --config "$CONFIGS/$config.yaml" --out "$OUT/$name" "$@"
  hop export "$OUT/$name/last.ckpt" "$OUT/$name.safetensors"
}

mkdir -p "$OUT/weights"
hop data synthesize --out "$OUT/set" --num "$NUM" --seed 0

for prior in $WANTED; do
  case $prior in
    contrastive)
      hop data prepare --out "$OUT/cache" --synthetic "$OUT/set" --background $((BACKGROUND / 3))
      hop data prepare --out "$OUT/cache" --procedural "$PROCEDURAL" --background "$BACKGROUND"
      # shellcheck disable=SC2086  # options, with spaces between
      hop data mine --cache "$OUT/cache" --out "$OUT/mined" $MINING
      for seed in 0 1; do
        # Two trainings that choose alike well, and differently: of seed, and of how often each source is drawn.
        weight=$([ "$seed" = 0 ] && echo 0.5 || echo 0.35)
        fit "contrastive_$seed" contrastive --seed_everything "$seed" --data.init_args.cache "$OUT/mined/round1" \
          --data.init_args.source_weights "{synthetic: $weight}" --model.init_args.members "$MEMBERS" \
          --trainer.max_steps "$STEPS"
      done
      python "$TOOLS/average_contrastive.py" "$OUT"/contrastive_{0,1}.safetensors "$OUT/weights/contrastive-open.safetensors"
      ;;
    interaction)
      hop data prepare --out "$OUT/cache" --synthetic "$OUT/set" --background $((BACKGROUND / 3))
      fit shape_autoencoder shape_autoencoder --data.init_args.folder "$OUT/shape_points"
      fit interaction interaction --model.init_args.shapes "$OUT/shape_autoencoder.safetensors" \
        --data.init_args.autoencoder "$OUT/shape_autoencoder.safetensors" --data.init_args.cache "$OUT/cache" \
        --data.init_args.shapes "$OUT/shape_points" --data.init_args.source_weights null
      cp "$OUT/interaction.safetensors" "$OUT/weights/interaction-open.safetensors"
      ;;
    pose)
      if [ ! -f "$OUT/poses.safetensors" ]; then
        hop data poses --out "$OUT/poses.safetensors" --synthetic "[$OUT/set]" --resting 512 ${FREE:+--free "$FREE"}
      fi
      weights="{synthetic: 1.0, resting: 0.15${FREE:+, free: 0.3}}"
      fit pose pose --data.init_args.poses "$OUT/poses.safetensors" --data.init_args.source_weights "$weights"
      cp "$OUT/pose.safetensors" "$OUT/weights/pose-open.safetensors"
      ;;
    text_match)
      hop data prepare --out "$OUT/words_cache" --synthetic "$OUT/set" --parts 624 --background 0
      fit text_match text_match --data.init_args.cache "$OUT/words_cache" --trainer.max_steps 2000
      cp "$OUT/text_match.safetensors" "$OUT/weights/text_match-open.safetensors"
      ;;
    grid)
      hop data synthesize --out "$OUT/set" --num 30000 --seed 0
      hop data prepare --out "$OUT/grid_cache" --synthetic "$OUT/set" --background $((BACKGROUND / 3))
      fit vqvae vqvae --data.init_args.cache "$OUT/grid_cache"
      fit grid grid_prior --data.init_args.cache "$OUT/grid_cache" --model.init_args.vqvae "$OUT/vqvae.safetensors"
      cp "$OUT/grid.safetensors" "$OUT/weights/grid-open.safetensors"
      ;;
    *)
      echo "no prior '$prior': contrastive, pose, text_match or grid" >&2
      exit 2
      ;;
  esac
done
echo "weights: $(ls "$OUT/weights")"
