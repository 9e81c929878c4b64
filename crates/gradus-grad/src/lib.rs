//! gradus-grad
