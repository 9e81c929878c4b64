//! gradus-check
