//! What every call of `qemu-img convert` takes.

use osbuild_stage_api::StageContext;

/// How many requests `qemu-img` has under way at once, for those who measured what their storage likes.
const COROUTINES: &str = "OSBUILD_QEMU_IMG_COROUTINES";

/// Returns the arguments for the number of coroutines that the environment asks for.
pub(crate) fn coroutines(context: &StageContext) -> Vec<String> {
    let Some(coroutines) = std::env::var(COROUTINES)
        .ok()
        .filter(|text| !text.is_empty())
    else {
        return Vec::new();
    };
    context.log(format_args!("qemu-img coroutines: {coroutines}"));
    vec!["-m".to_owned(), coroutines]
}
