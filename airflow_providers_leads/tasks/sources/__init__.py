"""The work of the operators that read leads from where no CRM is, and that write them and metrics there."""
