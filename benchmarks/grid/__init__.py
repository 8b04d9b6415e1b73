"""The benchmark grid."""
