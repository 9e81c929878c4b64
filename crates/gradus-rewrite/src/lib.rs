//! gradus-rewrite
