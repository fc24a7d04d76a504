//! Programs told by the names of their tensors.

use std::path::Path;

use super::NO_COUNTERPART;
use crate::import::ImportError;

/// A program or a kind of file, and the names that only it has.
struct Known {
    what: &'static str,
    /// What to do instead, if anything but training anew.
    instead: Option<&'static str>,
    is_it: fn(&Names<'_>) -> bool,
}

/// The more special come first: many programs keep the names of the one they grew from.
const KNOWN: [Known; 15] = [
    Known {
        what: "weights of LoRA, which change another network",
        instead: Some("merge them into that network in its own program first"),
        is_it: |names| {
            ["lora_A", "lora_B", "lora_down", "lora_up", "lora"].iter().any(|key| names.key(key))
                || names.inside("lora_linear_layer")
        },
    },
    Known {
        what: "the state of an optimiser",
        instead: Some("name the file of the weights, which lies beside it"),
        is_it: |names| {
            let moments = ["exp_avg", "exp_avg_sq", "momentum_buffer"];
            names.all(|name| {
                name.starts_with("state.") || moments.iter().any(|key| name.ends_with(key))
            })
        },
    },
    Known {
        what: "a checkpoint of k-diffusion",
        instead: None,
        is_it: |names| names.key("inner_model"),
    },
    Known {
        what: "a checkpoint of denoising-diffusion-pytorch (lucidrains)",
        instead: None,
        is_it: |names| names.ends("init_conv.weight") || names.key("online_model"),
    },
    Known {
        what: "a checkpoint of CompVis' latent diffusion or Stable Diffusion",
        instead: None,
        is_it: |names| {
            ["diffusion_model", "first_stage_model", "cond_stage_model"]
                .iter()
                .any(|key| names.key(key))
        },
    },
    Known {
        what: "a checkpoint of OpenAI's improved-diffusion or guided-diffusion",
        instead: None,
        is_it: |names| names.key("input_blocks") && names.key("time_embed"),
    },
    Known {
        what: "weights of NVlabs' EDM",
        instead: None,
        is_it: |names| names.key("map_layer0") || names.key("map_noise"),
    },
    Known {
        what: "a checkpoint of score_sde_pytorch",
        instead: None,
        is_it: |names| names.key("all_modules"),
    },
    Known {
        what: "weights of a diffusion transformer (DiT)",
        instead: None,
        is_it: |names| names.key("x_embedder") && names.key("t_embedder"),
    },
    Known {
        what: "weights of an autoencoder",
        instead: None,
        is_it: |names| names.ends("encoder.conv_in.weight") || names.ends("decoder.conv_in.weight"),
    },
    Known {
        what: "weights of a conditional UNet of diffusers, which attends to a text",
        instead: None,
        is_it: |names| names.key("down_blocks") && names.key("attn2"),
    },
    Known {
        what: "weights of a UNet2DModel of diffusers, without its settings",
        instead: Some("name the folder with its config.json instead of this file"),
        is_it: |names| names.key("down_blocks") && names.ends("conv_in.weight"),
    },
    Known {
        what: "a model of Hugging Face's transformers",
        instead: None,
        is_it: |names| {
            let keys = ["self_attn", "word_embeddings", "lm_head", "text_model", "vision_model"];
            keys.iter().any(|key| names.key(key)) || names.inside("attention.self.query")
        },
    },
    Known {
        what: "a model of timm, a vision transformer",
        instead: None,
        is_it: |names| names.key("patch_embed") || names.inside("attn.qkv"),
    },
    Known {
        what: "a classifier of timm or torchvision",
        instead: None,
        is_it: |names| {
            let heads = ["fc.weight", "head.weight", "classifier.weight", "head.fc.weight"];
            let stems = ["running_mean", "bn1", "conv_stem"];
            heads.iter().any(|head| names.ends(head)) && stems.iter().any(|stem| names.key(stem))
        },
    },
];

/// Returns the error of a file of a known program, told by the names of its tensors.
pub(in crate::import) fn by_names(path: &Path, names: &[&str]) -> Option<ImportError> {
    let found = KNOWN.iter().find(|known| !names.is_empty() && (known.is_it)(&Names(names)))?;
    let instead = found.instead.unwrap_or(NO_COUNTERPART);
    Some(ImportError::format(path, &format!("it is {}: {instead}", found.what)))
}

/// The names of the tensors in a file.
struct Names<'a>(&'a [&'a str]);

impl Names<'_> {
    /// Whether a name has this key between its dots.
    fn key(&self, key: &str) -> bool {
        self.0.iter().any(|name| name.split('.').any(|part| part == key))
    }

    /// Whether a name is this one, or ends with it after a dot.
    fn ends(&self, end: &str) -> bool {
        let before =
            |name: &str| name.strip_suffix(end).map(|start| (start.len(), start.ends_with('.')));
        self.0.iter().any(|name| matches!(before(name), Some((0, _) | (_, true))))
    }

    /// Whether a name contains this text.
    fn inside(&self, text: &str) -> bool {
        self.0.iter().any(|name| name.contains(text))
    }

    fn all(&self, condition: impl Fn(&str) -> bool) -> bool {
        self.0.iter().all(|name| condition(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &[&str]) -> String {
        by_names(Path::new("x.pt"), names).map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn each_program_is_told_by_the_names_of_its_tensors() {
        let cases: [(&[&str], &str); 18] = [
            (&["model.inner_model.unet.d_blocks.0.0.x", "model_ema.a"], "of k-diffusion"),
            (&["model.model.init_conv.weight"], "denoising-diffusion-pytorch"),
            (&["ema.online_model.model.downs.0.0.weight"], "denoising-diffusion-pytorch"),
            (&["input_blocks.0.0.weight", "time_embed.0.weight", "out.2.bias"], "guided-diffusion"),
            (&["state_dict.model.diffusion_model.input_blocks.0.0.weight"], "CompVis"),
            (&["cond_stage_model.transformer.text_model.x"], "CompVis"),
            (&["model.map_layer0.weight", "model.enc.32x32_conv.weight"], "NVlabs' EDM"),
            (&["module.all_modules.0.W"], "score_sde"),
            (&["x_embedder.proj.weight", "t_embedder.mlp.0.weight"], "DiT"),
            (&["encoder.conv_in.weight", "quant_conv.weight"], "autoencoder"),
            (&["conv_in.weight", "down_blocks.0.attentions.0.attn2.to_k.weight"], "a text"),
            (&["conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"], "config.json"),
            (&["model.layers.0.self_attn.q_proj.weight"], "transformers"),
            (&["bert.encoder.layer.0.attention.self.query.weight"], "transformers"),
            (&["patch_embed.proj.weight", "blocks.0.attn.qkv.weight"], "vision transformer"),
            (&["bn1.weight", "fc.weight"], "classifier"),
            (&["unet.down_blocks.0.attn1.to_q.lora_A.weight"], "LoRA"),
            (&["state.0.exp_avg", "state.0.step"], "optimiser"),
        ];
        for (names, what) in cases {
            let found = told(names);
            assert!(found.contains(what), "{names:?}: {found}");
        }
        assert_eq!(told(&["backbone.0.gamma"]), "");
        assert_eq!(told(&[]), "");
    }
}
