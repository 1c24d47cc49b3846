//! Check InvalidBaseImagePlatform, explained in docs/checks/invalid-base-image-platform.md. In: a base image's name, its platform and the one asked for. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "InvalidBaseImagePlatform",
    slug: "",
    description: "Base image platform does not match expected target platform",
};

/// The image is for another platform than the stage.
pub fn text(image: &str, found: &str, expected: &str) -> String {
    format!("Base image {image} was pulled with platform \"{found}\", expected \"{expected}\" for current build")
}
