//! A real kube-apiserver and what is applied to it.
